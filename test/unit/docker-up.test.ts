import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { root } from '../support/docker-files.ts';

/** Engine is unhealthy when `health` says so; each call of docker is a line in the file `calls`. */
const DOCKER = `#!/bin/sh
echo "$*" >>calls
case "$*" in
  'compose version'*) [ ! -e no-compose ] ;;
  info*) [ ! -e no-engine ] || { echo 'Cannot connect to the Docker daemon' >&2; exit 1; } ;;
  'volume inspect'*) [ -e volume ] ;;
  *'config --services') printf 'postgres\\nengine\\n' ;;
  *'ps --all --quiet engine') echo id-engine ;;
  *'ps --all --quiet postgres') echo id-postgres ;;
  'inspect --format {{.RestartCount}}'*id-engine) cat health ;;
  'inspect --format {{.RestartCount}}'*) echo '0 running healthy' ;;
  'inspect --format {{if .State.Health}}'*) echo 'not ready: dialer' ;;
  *logs*engine) echo 'the last log line' ;;
esac
`;

function repository(t: Test) {
  const dir = t.testdir({ bin: { docker: DOCKER }, docker: {} });
  for (const file of ['docker/up.sh', 'docker/down.sh', '.env.example'])
    copyFileSync(join(root, file), join(dir, file));
  chmodSync(join(dir, 'bin/docker'), 0o755);
  const path = (name: string) => join(dir, name);
  const write = (name: string, text = '') => writeFileSync(path(name), text);
  write('health', '0 running healthy\n');
  const run = (...args: string[]) =>
    spawnSync('sh', args, {
      cwd: dir,
      encoding: 'utf8',
      env: { PATH: `${path('bin')}:${process.env.PATH}` },
    });
  const read = (name: string) => readFileSync(path(name), 'utf8');
  const setting = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(read('.env'))?.[1] ?? '';
  return { path, write, run, read, setting, has: (name: string) => existsSync(path(name)) };
}

t.test('Makes .env with passwords, starts all, and says how to go on', (t) => {
  const { run, read, setting, path } = repository(t);
  const { status, stdout, stderr } = run('docker/up.sh');
  t.equal(status, 0, stderr);
  t.match(stdout, /postgres +healthy\n +engine +healthy\n/);
  t.match(stdout, 'http://127.0.0.1:8080/docs');
  t.match(stdout, 'docker compose exec engine node engine/main.ts create-key office administrator');
  t.equal(statSync(path('.env')).mode & 0o777, 0o600);
  for (const name of ['POSTGRES_PASSWORD', 'ARI_PASSWORD', 'AMI_PASSWORD'])
    t.match(setting(name), /^[0-9a-f]{48}$/, name);
  t.equal(Buffer.from(setting('SECRET_KEY'), 'base64').length, 32);
  t.not(setting('POSTGRES_PASSWORD'), setting('ARI_PASSWORD'));
  t.notMatch(stdout + stderr + read('calls'), setting('ARI_PASSWORD'), 'and shows them to nobody');

  const before = read('.env');
  t.equal(run('docker/up.sh').status, 0);
  t.equal(read('.env'), before, 'a second start keeps them');
  t.end();
});

t.test('Keeps what .env has, and adds only the passwords that it lacks', (t) => {
  const { run, write, setting } = repository(t);
  write('.env', 'HTTP_PORT=9090\nPOSTGRES_PASSWORD=mine\n');
  const { status, stdout } = run('docker/up.sh');
  t.equal(status, 0);
  t.match(stdout, 'http://127.0.0.1:9090/docs');
  t.match(stdout, '--env-file .env -f docker/compose.yaml exec', 'compose would not find its file');
  t.equal(setting('POSTGRES_PASSWORD'), 'mine');
  t.match(setting('ARI_PASSWORD'), /^[0-9a-f]{48}$/);
  t.end();
});

t.test('Shows why a service is not healthy, and fails', (t) => {
  const { run, write } = repository(t);
  for (const [health, word] of [
    ['0 running unhealthy', 'unhealthy'],
    ['3 restarting unhealthy', 'failing'],
    ['0 running starting', 'starting'],
  ] as const) {
    write('health', `${health}\n`);
    const { status, stderr } = run('docker/up.sh', '1');
    t.equal(status, 1, word);
    t.match(stderr, `engine is ${word}`);
    t.match(stderr, 'not ready: dialer');
    t.match(stderr, 'the last log line');
    t.notMatch(stderr, 'postgres is');
  }
  t.end();
});

t.test('Without compose or an engine it says so and changes nothing', (t) => {
  const { run, write, has } = repository(t);
  write('no-engine');
  const withoutEngine = run('docker/up.sh');
  t.equal(withoutEngine.status, 1);
  t.match(withoutEngine.stderr, /no Docker engine answers: Cannot connect .*make serve/);
  write('no-compose');
  const withoutCompose = run('docker/up.sh');
  t.equal(withoutCompose.status, 1);
  t.match(withoutCompose.stderr, 'no compose plugin');
  t.notOk(has('.env'));
  t.end();
});

t.test('A database whose password is lost is not locked out by a new one', (t) => {
  const { run, write, setting } = repository(t);
  write('volume');
  const { status, stderr } = run('docker/up.sh');
  t.equal(status, 1);
  t.match(stderr, 'Put the old .env back');
  t.equal(setting('POSTGRES_PASSWORD'), '');
  t.end();
});

t.test('down.sh stops all profiles and keeps the volumes', (t) => {
  const { run, read, write } = repository(t);
  t.equal(run('docker/down.sh').status, 1, 'nothing was started');
  write('.env');
  t.equal(run('docker/down.sh').status, 0);
  t.match(read('calls'), /--profile \* down\n$/);
  t.end();
});
