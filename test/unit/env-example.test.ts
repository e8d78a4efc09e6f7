/** .env.example explains every variable, invents none, and states the defaults that the programs have. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CONFIG_VARIABLES, readConfig } from '../../engine/config.ts';
import { interpolationsOf, read, root } from '../support/docker-files.ts';

interface Entry {
  value: string;
  /** Has a comment above it, or above the variables that it stands together with. */
  explained: boolean;
}

const entries = new Map<string, Entry>();
let explained = false;
for (const line of read('.env.example').split('\n')) {
  const [, name, value = ''] = /^#?([A-Z][A-Z0-9_]*)=(.*)$/.exec(line) ?? [];
  if (name !== undefined) entries.set(name, { value, explained });
  else if (line === '') explained = false;
  else explained = !line.startsWith('# ----');
}
const example = (name: string) => entries.get(name)?.value ?? '';

const placeholders = readdirSync(join(root, 'dialplan'))
  .filter((file) => file.endsWith('.conf'))
  .flatMap((file) => [...read(`dialplan/${file}`).matchAll(/@([A-Z][A-Z0-9_]*)\??@/g)])
  .map(([, name = '']) => name);
const compose = interpolationsOf(read('docker/compose.yaml'));
const entrypoint = interpolationsOf(read('docker/asterisk-entrypoint.sh'));
const serve = [...read('local/serve.ts').matchAll(/\bgiven\('([A-Z_]+)', (?:'([^']*)')?/g)].map(
  ([, name = '', text]) => ({ name, text }),
);
/** Read by docker compose itself. */
const composeOwn = ['COMPOSE_FILE', 'COMPOSE_PROFILES'];

t.test('Each variable that something reads is explained, and no other', (t) => {
  t.ok(serve.length > 5 && placeholders.length > 10 && compose.length > 10, 'the sources were understood');
  const known = new Set([
    ...CONFIG_VARIABLES,
    ...placeholders,
    ...[...compose, ...serve].map(({ name }) => name),
    ...composeOwn,
  ]);
  t.same([...known].filter((name) => !entries.has(name)).sort(), [], 'missing in .env.example');
  t.same([...entries.keys()].filter((name) => !known.has(name)).sort(), [], 'read by nothing');
  for (const [name, entry] of entries) t.ok(entry.explained, name);
  t.end();
});

t.test('The values are the defaults', (t) => {
  for (const { name, text } of [
    ...compose.filter(({ operator }) => operator === ':-'),
    ...entrypoint,
    ...serve,
  ])
    if (text) t.equal(example(name), text, name);
  const needed = {
    DATABASE_URL: 'postgres://rollcall@127.0.0.1/rollcall',
    ARI_URL: 'http://127.0.0.1:8088',
    ARI_USER: 'rollcall',
    ARI_PASSWORD: 'twelve-letters',
    SOUNDS_DIR: '/sounds',
    SIP_CAPTURE_LISTEN: '127.0.0.1:9060',
  };
  const all = Object.fromEntries(CONFIG_VARIABLES.map((name) => [name, example(name)]));
  t.same(readConfig({ ...all, ...needed }), readConfig(needed), 'for the engine');
  t.end();
});

t.test('It holds no secret', (t) => {
  for (const [name, { value }] of entries) if (/PASSWORD|URL/.test(name)) t.equal(value, '', name);
  t.end();
});
