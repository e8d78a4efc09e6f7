/** `make trunks`: Asterisk of `make serve` takes up new and changed trunk files; live calls go on. */
import { join, resolve } from 'node:path';
import { asteriskConsole } from './asterisk.ts';
import { reportFailure } from './failure.ts';
import { serveLockHolder } from './serve-lock.ts';

const root = resolve(import.meta.dirname, '..');
const dir = join(root, 'var/serve');

async function main(): Promise<void> {
  if ((await serveLockHolder(join(dir, 'lock'))) === undefined)
    throw new Error('`make serve` does not run here; it reads the trunk files when it starts');
  const ask = (command: string) =>
    asteriskConsole(join(root, 'var/asterisk-root'), join(dir, 'asterisk'), command);
  const answer = await ask('module reload res_pjsip.so');
  if (!/reloaded successfully/.test(answer)) throw new Error(`Asterisk did not take up the files: ${answer}`);
  // ` Endpoint:  north      Not in use    0 of inf`, after a heading with <…> in its place.
  const listed = await ask('pjsip show endpoints');
  const names = [...listed.matchAll(/^ *Endpoint: +([^\s<]+)/gm)].map(([, name = '']) => name.split('/')[0]);
  process.stdout.write(`Asterisk has these trunks now: ${names.join(', ') || 'none'}\n`);
}

await main().catch(reportFailure);
