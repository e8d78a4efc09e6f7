/** `make serve` checks everything before it starts anything, and tells both sides of a setting the same. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { CONFIG_VARIABLES, readConfig } from '../../engine/config.ts';
import { serveLockHolder, takeServeLock } from '../../local/serve-lock.ts';
import { readServeSettings } from '../../local/settings.ts';

const DEFAULTS = {
  DATABASE_URL: '',
  POSTGRES_PORT: '5433',
  SOUNDS_DIR: '/var/lib/rollcall/sounds',
  ARI_URL: '',
  ARI_PORT: '8088',
  ARI_USER: 'rollcall',
  ARI_PASSWORD: '',
  AMI_PORT: '5038',
  AMI_USER: 'rollcall',
  AMI_PASSWORD: '',
  SECRET_KEY: Buffer.alloc(32).toString('base64'),
  SIP_BIND: '0.0.0.0',
  SIP_PORT: '5060',
  SIP_TLS_PORT: '5061',
  TLS_CA_FILE: '/etc/ssl/certs/ca-certificates.crt',
  TLS_CERT_FILE: '',
  TLS_KEY_FILE: '',
  SIP_CAPTURE_LISTEN: '127.0.0.1:9060',
  RTP_START: '10000',
  RTP_END: '20000',
  EXTERNAL_ADDRESS: '',
  LOCAL_NETWORK: '',
};
const OWN_DATABASE = 'postgres://rollcall:p@127.0.0.1:5433/rollcall';

/** As serve.ts calls it: what is in the environment goes before the defaults. */
const settingsOf = (environment: Record<string, string> = {}) =>
  readServeSettings(
    Object.fromEntries(
      Object.entries(DEFAULTS).map(([name, fallback]) => [name, environment[name] || fallback]),
    ),
    environment,
  );

/** Names of the variables that are complained about; undefined if there is no complaint. */
function complaints(environment: Record<string, string>): string[] | undefined {
  try {
    settingsOf(environment);
    return undefined;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code !== 'CONFIG_INVALID') throw error;
    const [, ...lines] = message.split('\n');
    return lines.map((line) => /^ {2}([A-Z_]+): \S/.exec(line)?.[1] ?? line).sort();
  }
}

t.test('Asterisk and the engine get the same', async (t) => {
  for (const given of [
    {},
    { SIP_CAPTURE_LISTEN: '127.0.0.1:19201', ARI_PORT: '18202', ARI_USER: 'engine' },
    { ARI_PASSWORD: 'a-long-password' },
  ]) {
    const { asterisk, engineVariables } = settingsOf(given);
    const variables = engineVariables(OWN_DATABASE);
    t.ok(asterisk?.sipCaptureAddress);
    t.match(variables, {
      DATABASE_URL: OWN_DATABASE,
      SIP_CAPTURE_LISTEN: asterisk?.sipCaptureAddress,
      ARI_URL: `http://127.0.0.1:${asterisk?.ariPort}`,
      ARI_USER: asterisk?.ariUser,
      ARI_PASSWORD: asterisk?.ariPassword,
      AMI_ADDRESS: `127.0.0.1:${asterisk?.ami.port}`,
      AMI_PASSWORD: asterisk?.ami.password,
    });
    t.ok(readConfig(variables).sipCapture, 'and the engine takes it');
  }
});

t.test("The engine's variables hold nothing else of the environment", async (t) => {
  const given = { PATH: '/bin', SECRET: 'x', HTTP_PORT: '18201', LOG_LEVEL: '', NODE_NAME: 'north' };
  const variables = settingsOf(given).engineVariables(OWN_DATABASE);
  t.same(
    Object.keys(variables).filter((name) => !CONFIG_VARIABLES.includes(name)),
    [],
  );
  t.match(variables, { HTTP_PORT: '18201', NODE_NAME: 'north' });
  t.notOk('LOG_LEVEL' in variables, 'empty means "not set"');
});

t.test('Parts that are elsewhere', async (t) => {
  const elsewhere = {
    DATABASE_URL: 'postgres://u:p@db.example/rollcall',
    ARI_URL: 'http://10.0.0.5:8088',
    ARI_USER: 'engine',
    ARI_PASSWORD: 'any character; 12',
  };
  const settings = settingsOf(elsewhere);
  t.equal(settings.postgresPort, undefined);
  t.equal(settings.asterisk, undefined);
  t.match(settings.engineVariables(''), elsewhere);
  t.notOk('SIP_CAPTURE_LISTEN' in settings.engineVariables(''), 'not unless it is set');
  t.same(complaints({ ARI_URL: 'http://10.0.0.5:8088' }), ['ARI_PASSWORD', 'ARI_USER']);
});

t.test('Every mistake at once, of the local parts and of the engine', async (t) => {
  t.same(
    complaints({
      SIP_PORT: 'abc',
      ARI_PORT: '0',
      POSTGRES_PORT: '70000',
      RTP_START: '20000',
      RTP_END: '1.5',
      SIP_CAPTURE_LISTEN: '127.0.0.1:99999',
      LOCAL_NETWORK: '10.0.0.0/33',
      LOG_LEVEL: 'loud',
      HTTP_PORT: 'x',
      ARI_PASSWORD: 'short',
    }),
    [
      ...['ARI_PASSWORD', 'ARI_PORT', 'HTTP_PORT', 'LOCAL_NETWORK', 'LOG_LEVEL', 'POSTGRES_PORT', 'RTP_END'],
      ...['SIP_CAPTURE_LISTEN', 'SIP_PORT'],
    ],
  );
  t.same(complaints({ RTP_START: '20000', RTP_END: '20000' }), ['RTP_END']);
  t.same(complaints({ EXTERNAL_ADDRESS: '203.0.113.7' }), ['LOCAL_NETWORK']);
  t.same(complaints({ TLS_KEY_FILE: '/etc/rollcall/key.pem' }), ['TLS_CERT_FILE']);
  t.same(complaints({ AMI_PORT: 'x', SECRET_KEY: 'c2hvcnQ=' }), ['AMI_PORT', 'SECRET_KEY']);
  t.same(complaints({ EXTERNAL_ADDRESS: '203.0.113.7', LOCAL_NETWORK: '10.0.0.0/8' }), undefined);
  t.same(complaints({ ARI_PASSWORD: 'a password; and more' }), ['ARI_PASSWORD']);
});

t.test('One make serve at a time', async (t) => {
  const file = join(t.testdir(), 'serve/lock');
  const script = `
    const { takeServeLock } = await import(${JSON.stringify(join(import.meta.dirname, '../../local/serve-lock.ts'))});
    await takeServeLock(${JSON.stringify(file)});
    process.stdout.write('taken');
    process.stdin.once('end', () => process.exit()).resume();`;
  const start = async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    return { child, ended: once(child, 'exit') };
  };

  const first = await start();
  t.equal(await serveLockHolder(file), first.child.pid);
  await t.rejects(takeServeLock(file), { message: `make serve already runs here (pid ${first.child.pid})` });
  t.equal(await serveLockHolder(file), first.child.pid, 'who was refused takes nothing away');
  first.child.stdin.end();
  await first.ended;
  t.notOk(existsSync(file), 'removed at exit');

  const killed = await start();
  killed.child.kill('SIGKILL');
  await killed.ended;
  t.ok(existsSync(file));
  t.equal(await serveLockHolder(file), undefined, 'a dead holder is none');
  await writeFile(file, `${process.pid} 1\n`);
  t.equal(await serveLockHolder(file), undefined, 'nor is another process with its pid');
  await takeServeLock(file);
  t.match(await readFile(file, 'utf8'), new RegExp(`^${process.pid} `));
});
