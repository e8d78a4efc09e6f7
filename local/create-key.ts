/** `make key NAME=office ROLE=administrator`: a new API key for the engine that `make serve` runs. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createKey } from './stack.ts';

const [name = '', role = ''] = process.argv.slice(2);
const file = resolve(import.meta.dirname, '../var/serve/engine.json');
const env = await readFile(file, 'utf8').then(
  (text) => JSON.parse(text) as Record<string, string>,
  () => undefined,
);
if (env === undefined) {
  process.stderr.write('no engine was started here yet: run `make serve` in another terminal first\n');
  process.exitCode = 1;
} else {
  process.stdout.write(`${createKey(env, name, role)}\n`);
}
