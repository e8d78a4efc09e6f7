/** Who may import whom: the table of the design, checked over every file of the engine. */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import t from 'tap';

const engine = resolve(import.meta.dirname, '../../engine');

interface Rule {
  /** Modules of the engine, or top-level files by name. */
  own: string[];
  /** npm packages. */
  packages: string[];
  /** Types only, so that nothing of them is there at run time. */
  types?: string[];
  /** Node's own modules; none for pure code. */
  node: boolean;
}

const BASICS = ['errors', 'log'];
const TABLE: Record<string, Rule> = {
  domain: { own: ['domain'], packages: ['rrule', 'zod', 'libphonenumber-js'], node: false },
  store: { own: ['store', 'domain', 'errors'], packages: ['pg'], node: true },
  speech: { own: ['speech', 'domain', ...BASICS], packages: [], node: true },
  ari: { own: ['ari', 'clock', ...BASICS], packages: ['undici', 'ws', 'zod'], node: true },
  ami: { own: ['ami', 'clock', ...BASICS], packages: ['asterisk-manager'], node: true },
  dialer: { own: ['dialer', 'domain', 'clock', ...BASICS], packages: [], types: ['ari'], node: false },
  imports: {
    own: ['imports', 'domain', 'store', ...BASICS],
    packages: ['csv-parse', 'zod'],
    node: true,
  },
  jobs: {
    own: ['jobs', 'domain', 'store', 'speech', ...BASICS],
    packages: ['pg-boss'],
    types: ['clock', 'pg'],
    node: true,
  },
  api: {
    own: ['api', 'domain', 'store', 'errors'],
    packages: ['fastify', 'fastify-type-provider-zod', 'zod', 'csv-stringify'],
    types: ['clock', 'log', 'prom-client'],
    node: true,
  },
  'config.ts': { own: ['errors'], packages: ['zod'], node: true },
  'errors.ts': { own: [], packages: [], node: false },
  'secrets.ts': { own: ['errors'], packages: [], node: true },
  'log.ts': { own: [], packages: ['pino'], node: false },
  'clock.ts': { own: [], packages: [], node: false },
  'metrics.ts': { own: [], packages: ['prom-client'], types: ['dialer'], node: false },
};

const files = readdirSync(engine, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

/** [specifier, type only] of each import and re-export. */
function importsOf(source: string): [string, boolean][] {
  const statements = source.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm);
  const found = [...statements].map((match): [string, boolean] => [match[2] ?? '', match[1] !== undefined]);
  const dynamic = [...source.matchAll(/\bimport\(\s*'([^']+)'/g)];
  return [...found, ...dynamic.map((match): [string, boolean] => [match[1] ?? '', false])];
}

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

/** Why this import is against the table; undefined if it is not. */
function objection(file: string, specifier: string, typeOnly: boolean, rule: Rule): string | undefined {
  const types = typeOnly ? (rule.types ?? []) : [];
  if (specifier.startsWith('.')) {
    const target = relative(engine, resolve(engine, dirname(file), specifier));
    if (target.startsWith('..')) return `${specifier} is outside the engine`;
    const module = target.split('/')[0]?.replace(/\.ts$/, '') ?? '';
    return [...rule.own, ...types].includes(module) ? undefined : `may not import ${target}`;
  }
  const name = packageOf(specifier);
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) {
    return rule.node && specifier.startsWith('node:') ? undefined : `may not import ${specifier}`;
  }
  const allowed = [...rule.packages, ...types];
  const plugin = name.startsWith('@fastify/') && allowed.includes('fastify');
  return allowed.includes(name) || plugin ? undefined : `may not import the package ${name}`;
}

t.test('every file keeps to the table', async (t) => {
  t.ok(files.length > 40, 'files were found');
  for (const file of files) {
    if (file === 'main.ts') continue;
    const rule = TABLE[file.split('/')[0] ?? ''];
    if (rule === undefined) {
      t.fail(`${file} is in no row of the table`);
      continue;
    }
    const problems = importsOf(readFileSync(join(engine, file), 'utf8')).flatMap(([specifier, typeOnly]) => {
      const problem = objection(file, specifier, typeOnly, rule);
      return problem === undefined ? [] : [problem];
    });
    t.same(problems, [], file);
  }
});

t.test('the rules see what they are for', async (t) => {
  const rule = TABLE.domain as Rule;
  t.ok(objection('domain/x.ts', 'pg', false, rule));
  t.ok(objection('domain/x.ts', 'node:fs', false, rule));
  t.ok(objection('domain/x.ts', '../store/db.ts', true, rule));
  t.ok(objection('dialer/x.ts', '../ari/client.ts', false, TABLE.dialer as Rule));
  t.notOk(objection('dialer/x.ts', '../ari/client.ts', true, TABLE.dialer as Rule));
  t.same(importsOf(`import {\n  a,\n  type B,\n} from './x.ts';\nexport type { C } from "y";\nimport 'z';`), [
    ['./x.ts', false],
    ['z', false],
  ]);
});

t.test('pure code asks no clock and throws no dice', async (t) => {
  for (const file of files.filter((name) => name.startsWith('domain/') || name === 'dialer/session.ts')) {
    const source = readFileSync(join(engine, file), 'utf8').replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, '');
    t.notMatch(source, /Date\.now\(|new Date\(\)|Math\.random\(|performance\.now\(|process\./, file);
  }
});

t.test('only main.ts reads the environment', async (t) => {
  for (const file of files.filter((name) => name !== 'main.ts'))
    t.notMatch(readFileSync(join(engine, file), 'utf8'), /process\.env/, file);
});

t.test('no file is far over 400 lines', async (t) => {
  const root = resolve(engine, '..');
  for (const folder of ['engine', 'local', 'test', 'bench']) {
    const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
    for (const name of names.filter((one) => one.endsWith('.ts'))) {
      const lines = readFileSync(join(root, folder, name), 'utf8').split('\n').length;
      t.ok(lines <= 440, `${folder}/${name} has ${lines} lines`);
    }
  }
});
