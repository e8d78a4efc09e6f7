/** `make key NAME=office ROLE=administrator`: a new API key for the engine that `make serve` runs. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ROLES } from '../engine/domain/terms.ts';
import { reportFailure } from './failure.ts';
import { serveLockHolder } from './serve-lock.ts';
import { createKey } from './stack.ts';

const dir = resolve(import.meta.dirname, '../var/serve');
const [name = '', role = ''] = process.argv.slice(2);

async function main(): Promise<void> {
  if (name.trim() === '' || !ROLES.some((known) => known === role)) {
    process.stderr.write(`usage: make key NAME=office ROLE=${ROLES.join('|')}\n`);
    process.exitCode = 2;
    return;
  }
  const text = await readFile(`${dir}/engine.json`, 'utf8').catch(() => undefined);
  if (text === undefined || (await serveLockHolder(`${dir}/lock`)) === undefined)
    throw new Error('no engine runs here: run `make serve` in another terminal first');
  process.stdout.write(`${createKey(JSON.parse(text) as Record<string, string>, name, role)}\n`);
}

await main().catch(reportFailure);
