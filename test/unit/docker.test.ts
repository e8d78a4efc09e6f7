/** What the Docker files say, checked without Docker. docker/check.sh adds what a docker client can check. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { z } from 'zod';
import { CONFIG_VARIABLES } from '../../engine/config.ts';
import {
  copiedFromContext,
  type Instruction,
  importsOf,
  interpolationsOf,
  isExecutable,
  isIgnored,
  read,
  root,
  stagesOf,
} from '../support/docker-files.ts';

const text = read('docker/compose.yaml');
const service = z.object({
  image: z.string(),
  build: z.object({ context: z.literal('..'), dockerfile: z.string() }).optional(),
  restart: z.literal('unless-stopped'),
  init: z.literal(true),
  user: z.string().optional(),
  network_mode: z.string().optional(),
  ports: z.array(z.string()).optional(),
  profiles: z.array(z.string()).optional(),
  volumes: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.union([z.string(), z.number()]).transform(String)),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  stop_grace_period: z.string(),
  read_only: z.boolean().default(false),
  cap_drop: z.array(z.string()),
  cap_add: z.array(z.string()).default([]),
  logging: z.object({ options: z.record(z.string(), z.string()) }),
});
const compose = z
  .object({
    services: z.object({ engine: service, postgres: service, asterisk: service, carrier: service }).strict(),
    volumes: z.record(z.string(), z.unknown()),
  })
  .parse(parse(text, { merge: true }));
const { engine, postgres, asterisk, carrier } = compose.services;
const services = Object.entries(compose.services);
const dockerfiles = services.flatMap(([, { build }]) => build?.dockerfile ?? []);
const last = (instructions: Instruction[], name: string) =>
  instructions.findLast((instruction) => instruction.name === name)?.rest;
const finalStage = (path: string) => stagesOf(path).at(-1) ?? [];

t.test('Images are official ones, or built here from official ones', (t) => {
  for (const [name, { image, build }] of services)
    t.equal(image, build === undefined ? 'postgres:18' : `rollcall-${name}`, name);
  for (const path of dockerfiles) {
    for (const [from] of stagesOf(path))
      t.match(from?.rest, /^(debian:forky-slim|node:24-[a-z]+-slim)( AS [a-z]+)?$/, path);
  }
  t.end();
});

t.test('Each service has a health check, ends in order, and keeps bounded logs', (t) => {
  for (const [name, { build, healthcheck, logging, stop_grace_period }] of services) {
    t.ok(build === undefined ? healthcheck?.test : last(finalStage(build.dockerfile), 'HEALTHCHECK'), name);
    t.ok(logging.options['max-size'], name);
    t.ok(stop_grace_period, name);
  }
  t.match(engine.stop_grace_period, /^1m\$\{SHUTDOWN_GRACE_SECONDS:-60\}s$/, 'a minute over what calls get');
  for (const [name, { condition }] of Object.entries(engine.depends_on))
    t.equal(condition, 'service_healthy', name);
  t.same(Object.keys(engine.depends_on).sort(), ['asterisk', 'postgres']);
  t.end();
});

t.test('Nothing runs as root, nor with rights that it does not need', (t) => {
  t.equal(postgres.user, 'postgres');
  for (const path of dockerfiles) t.match(last(finalStage(path), 'USER'), /^(?!root|0)[a-z]+$/, path);
  for (const [name, { cap_drop, cap_add, read_only }] of services) {
    t.same(cap_drop, ['ALL'], name);
    t.same(cap_add, name === 'carrier' ? ['NET_RAW'] : [], name);
    t.equal(read_only, name !== 'carrier', name);
  }
  t.end();
});

t.test('No secret has a default, and none gets into an image', (t) => {
  const isSecret = (name: string) => /PASSWORD|SECRET|TOKEN|_KEY$/.test(name);
  for (const { name, operator, text: explanation } of interpolationsOf(text)) {
    if (!isSecret(name)) continue;
    t.equal(operator, ':?', name);
    t.ok(explanation, name);
  }
  for (const [name, { environment }] of services) {
    for (const [variable, value] of Object.entries(environment))
      if (isSecret(variable)) t.match(value, /^\$\{[A-Z_]+:\?[^}]+\}$/, `${name} ${variable}`);
  }
  t.match(engine.environment.DATABASE_URL, /^postgres:\/\/rollcall:\$\{POSTGRES_PASSWORD:\?/);
  for (const path of dockerfiles) {
    for (const { name, rest } of stagesOf(path).flat())
      if (name === 'ENV' || name === 'ARG') t.notMatch(rest, /PASSWORD|SECRET|TOKEN/, path);
  }
  const ignored = read('.dockerignore');
  for (const path of ['.env', '.git/config', 'node_modules/zod/package.json', 'var/serve/engine.json'])
    t.ok(isIgnored(path, ignored), path);
  t.end();
});

t.test('Asterisk is on the network of the host, and only SIP and audio are open to others', (t) => {
  for (const { network_mode } of [asterisk, engine, carrier]) t.equal(network_mode, 'host');
  t.equal(asterisk.environment.ARI_BIND, '127.0.0.1');
  t.equal(carrier.environment.CARRIER_HOST, '127.0.0.1');
  for (const port of postgres.ports ?? []) t.match(port, /^127\.0\.0\.1:/);
  t.same(carrier.profiles, ['carrier'], 'the simulated carrier starts only when it is asked for');
  t.end();
});

t.test('Engine and Asterisk share settings and audio', (t) => {
  const { SOUNDS_DIR: sounds, ARI_URL, SIP_CAPTURE_LISTEN } = engine.environment;
  t.ok(engine.volumes.includes(`sounds:${sounds}`), 'the engine writes');
  t.ok(asterisk.volumes.includes(`sounds:${sounds}:ro`), 'Asterisk reads at the same path');
  for (const path of ['docker/engine.Dockerfile', 'docker/asterisk.Dockerfile'])
    t.match(
      last(finalStage(path), 'RUN'),
      new RegExp(`install -d .* ${sounds}$`),
      'a new volume has an owner',
    );
  t.equal(ARI_URL, `http://127.0.0.1:${asterisk.environment.ARI_PORT}`);
  t.equal(asterisk.environment.SIP_CAPTURE_ADDRESS, SIP_CAPTURE_LISTEN);
  for (const name of ['ARI_USER', 'ARI_PASSWORD'])
    t.equal(asterisk.environment[name], engine.environment[name], name);
  t.ok(postgres.volumes.includes('postgres:/var/lib/postgresql'), 'where PostgreSQL 18 keeps its data');
  t.same(Object.keys(compose.volumes).sort(), ['postgres', 'sounds']);
  // Paths inside the image, which has one set of prompts and one view of the audio.
  const fixed = ['ASTERISK_SOUNDS_DIR', 'PROMPTS_DIR'];
  const missing = CONFIG_VARIABLES.filter((name) => !(name in engine.environment) && !fixed.includes(name));
  t.same(missing, [], 'every setting of the engine gets from .env into the container');
  t.end();
});

t.test('The Dockerfiles copy what exists, and .dockerignore lets it in', (t) => {
  const ignored = read('.dockerignore');
  for (const path of dockerfiles) {
    for (const source of copiedFromContext(stagesOf(path).flat())) {
      t.ok(existsSync(join(root, source)), `${path}: ${source}`);
      t.notOk(isIgnored(source, ignored), `${path}: ${source}`);
    }
  }
  for (const script of ['asterisk-entrypoint.sh', 'carrier-health.sh'])
    t.ok(isExecutable(`docker/${script}`), script);
  t.ok(isExecutable('dialplan/render.sh'));
  t.end();
});

t.test('What the programs load is in their images', (t) => {
  const { dependencies } = z
    .object({ dependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(read('package.json')));
  const check = (path: string, entry: string, packages: string[]) => {
    const sources = copiedFromContext(stagesOf(path).flat());
    const loaded = importsOf(entry);
    const inside = (file: string) =>
      sources.some((source) => file === source || file.startsWith(`${source}/`));
    t.same(
      [...loaded.files].filter((file) => !inside(file)),
      [],
      `${path}: files`,
    );
    t.same(
      [...loaded.packages].filter((name) => !packages.includes(name)),
      [],
      `${path}: packages`,
    );
  };
  check('docker/engine.Dockerfile', 'engine/main.ts', Object.keys(dependencies));
  check('docker/carrier.Dockerfile', 'test/sim/carrier/prepare.ts', []);
  t.match(read('docker/engine.Dockerfile'), /npm ci --omit=dev/);
  t.end();
});

t.test('A .dockerignore is read as Docker reads it: the last match decides', (t) => {
  const ignored = '*\n!docker\ndocker/*\n!docker/a.sh\n';
  t.ok(isIgnored('.env', ignored));
  t.ok(isIgnored('docker/keys/b.pem', ignored));
  t.notOk(isIgnored('docker/a.sh', ignored));
  t.ok(isIgnored('docker/axsh', ignored), 'a dot is a dot');
  t.end();
});
