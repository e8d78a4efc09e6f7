/**
 * `make demo`: a sample district's attendance run from its files to the report, on real PostgreSQL, Asterisk
 * and SIP, against the simulated carrier. Everything goes through the REST API that users have. Stops what it
 * started, also on Ctrl-C.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from '../engine/store/calls.ts';
import { sampleDistrict } from '../test/sample/district.ts';
import type { ApiClient } from './api-client.ts';
import { printReport, type TrackingReport } from './demo-report.ts';
import { startPhase } from './progress.ts';
import { type Stack, startStack } from './stack.ts';
import { daytimeZone, inZone } from './zone.ts';

const root = resolve(import.meta.dirname, '..');
const dir = join(root, 'var/demo');

/** The sample trunk: what this district pays for. */
const TRUNK = { name: 'carrier', host: '127.0.0.1', maxChannels: 72, callsPerSecond: 10 };
/** Nobody waits 15 minutes for a demo's retries; the rest of the policy is the default. */
const POLICY = { retryDelaySeconds: 3, trunkRetrySeconds: 1, maxTrunkFailures: 3, ringSeconds: 8 };
/** When the schedule fires, from its creation. */
const FIRES_IN_MS = 3_000;

async function main(signal: AbortSignal): Promise<void> {
  // Each demo begins as a new installation does; rendered audio is kept, as it would be from day to day.
  for (const part of ['postgres', 'asterisk', 'carrier', 'engine.log'])
    await rm(join(dir, part), { recursive: true, force: true });
  await mkdir(dir, { recursive: true });

  const starting = startPhase('Starting');
  const stack = await startStack({
    dir,
    signal,
    onPart: (part) => starting.update(part),
    // A demo's database need not survive a power cut, and who stops a demo does not wait for its calls.
    postgresSettings: { synchronous_commit: 'off' },
    env: { SHUTDOWN_GRACE_SECONDS: '3' },
  });
  try {
    starting.done('PostgreSQL, Asterisk, the simulated carrier and the engine are running');
    await run(stack, signal);
  } finally {
    const stopping = startPhase('Stopping');
    stopping.update('engine, Asterisk, carrier, PostgreSQL');
    await stack.stop();
    stopping.done('all that was started is stopped');
  }
}

async function run({ api, engine, carrier }: Stack, signal: AbortSignal): Promise<void> {
  const zone = daytimeZone(new Date());
  const now = inZone(new Date(), zone);
  const date = now.date;
  process.stdout.write(
    `  The sample district lies in ${zone} today, where it is ${now.time}: Rollcall calls nobody at night.\n`,
  );
  await loadDistrict(api, zone, date, carrier.port);
  signal.throwIfAborted();

  const scheduled = startPhase('Attendance run');
  const fires = inZone(new Date(Date.now() + FIRES_IN_MS), zone);
  const [hour, minute, second] = fires.time.split(':').map(Number);
  await api.request('POST', '/v1/schedules', {
    name: 'Attendance',
    rrule: `FREQ=DAILY;BYHOUR=${hour};BYMINUTE=${minute};BYSECOND=${second}`,
    zone,
    category: 'attendance',
    template: 'attendance',
    audience: { kind: 'absent' },
  });
  scheduled.update(`scheduled for ${fires.time}`);
  const id = await waitForBroadcast(api, signal);
  await follow(api, id, scheduled, signal);

  const report = await api.request<TrackingReport>('GET', `/v1/reports/message-tracking?date=${date}`);
  await writeFile(join(dir, 'report.csv'), await api.text(`/v1/reports/message-tracking.csv?date=${date}`));
  await writeFile(join(dir, 'openapi.json'), await api.text('/docs/json'));
  process.stdout.write(printReport(report));
  process.stdout.write(
    '\n  Report as CSV      var/demo/report.csv\n' +
      '  API documentation  var/demo/openapi.json; as pages at http://127.0.0.1:8080/docs during `make serve`\n' +
      `  Log of this run    var/demo/engine.log (one JSON line per fact)\n\n`,
  );
  if (!report.sites.every((site) => site.total === site.recipients))
    throw new Error(`the report's totals do not add up; the engine at ${engine.url} has more`);
}

async function loadDistrict(api: ApiClient, zone: string, date: string, carrierPort: number): Promise<void> {
  const loading = startPhase('Loading');
  const sample = sampleDistrict({ date });
  await api.request('PUT', '/v1/district', { ...sample.district, zone, policy: POLICY });
  for (const { code, ...site } of sample.sites) {
    const proof = { proof: 'The sample district: nobody has this number' };
    await api.request('PUT', `/v1/caller-ids/${encodeURIComponent(site.callerId)}`, proof);
    await api.request('PUT', `/v1/sites/${code}`, site);
  }
  await api.request('POST', '/v1/trunks', { ...TRUNK, port: carrierPort });
  const files = [
    ['students', sample.studentsCsv],
    ['contacts', sample.contactsCsv],
    ['attendance', sample.attendanceCsv],
  ] as const;
  const counts: string[] = [];
  for (const [kind, csv] of files) {
    loading.update(`${kind}.csv`);
    const { added, rejected } = await api.upload<{ added: number; rejected: number }>(
      kind,
      `${kind}.csv`,
      csv,
    );
    counts.push(`${added} ${kind}${rejected > 0 ? ` (${rejected} rejected)` : ''}`);
  }
  loading.done(`${sample.sites.length} schools, ${counts.join(', ')}`);
}

/** The schedule makes the broadcast; this waits for it as a clerk's page would. */
async function waitForBroadcast(api: ApiClient, signal: AbortSignal): Promise<string> {
  const deadline = Date.now() + FIRES_IN_MS + 20_000;
  while (Date.now() < deadline) {
    const { items: broadcasts } = await api.request<{ items: { id: string }[] }>('GET', '/v1/broadcasts');
    const [broadcast] = broadcasts;
    if (broadcast !== undefined) return broadcast.id;
    await sleep(200, undefined, { signal });
  }
  throw new Error('the schedule did not fire; see var/demo/engine.log');
}

async function follow(
  api: ApiClient,
  id: string,
  phase: ReturnType<typeof startPhase>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const progress = await api.request<Progress>('GET', `/v1/broadcasts/${id}/progress`);
    const { total, planned, ready, ringing, live, done, callsPerSecond, secondsLeft } = progress;
    phase.update(
      `planned ${planned}, ready ${ready}, ringing ${ringing}, live ${live}, done ${done}/${total}, ` +
        `${callsPerSecond.toFixed(1)} calls/s${secondsLeft === null ? '' : `, ${Math.ceil(secondsLeft)} s left`}`,
      total === 0 ? 0 : done / total,
    );
    if (['done', 'stopped', 'failed', 'missed'].includes(progress.state)) {
      phase.done(`${done} of ${total} calls have their final outcome`);
      return;
    }
    await sleep(250, undefined, { signal });
  }
}

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => interrupted.abort(new Error('stopped on request')));
}
try {
  await main(interrupted.signal);
} catch (error) {
  if (!interrupted.signal.aborted) throw error;
  process.stdout.write('  Stopped on request.\n');
}
