import { join } from 'node:path';
import { freePorts } from '../local/ports.ts';
import { startProcess } from '../local/processes.ts';
import type { Context, Figure, Figures, Row } from './figure.ts';
import { footprint } from './measure/processes.ts';
import { round } from './measure/stats.ts';
import { addRoster, askForBroadcast, people, until, untilPrepared } from './roster.ts';
import { type Bench, startBench } from './stack.ts';

const SIZES = [10_000, 100_000, 1_000_000];
const RATE = 200;
const TEXT = 'School is closed today.';

/** What the database itself needs for such a queue, without planning and composing: copies of a broadcast's call. */
const FILL = `
  insert into calls (broadcast_id, phone, language, zone, caller_id, prompt_hash, state, lane_id, rank)
  select broadcast_id, given.phone, language, zone, caller_id, prompt_hash, state, lane_id, given.place
  from (select * from calls where broadcast_id = $1 limit 1) as template,
    unnest($2::text[]) with ordinality as given (phone, place)`;

/** Figure 6: what a long queue costs. */
export const scale: Figure = { name: 'scale', title: 'Scale', run };

async function run({ dir, quick, say }: Context): Promise<Figures> {
  const sizes = quick ? SIZES.slice(0, 2) : SIZES;
  const seconds = quick ? 10 : 30;
  const rows: Row[] = [];
  const details: unknown[] = [];
  for (const size of sizes) {
    const found = await measure(join(dir, String(size)), size, seconds, say);
    details.push(found);
    const row = (what: string, value: number, unit: string) =>
      rows.push({ what: `${size.toLocaleString('en')}: ${what}`, value: round(value), unit });
    row('audience prepared', found.preparedS, 's');
    row('the first call of it ready', found.firstReadyS, 's');
    row('rows written directly', found.filledS, 's');
    row('claim', found.claimMs, 'ms');
    row(`calls a second (${RATE} allowed)`, found.rate, 'calls/s');
    row('engine, before', found.engineMb.before, 'MB');
    row('engine, prepared', found.engineMb.prepared, 'MB');
    row('engine, calling', found.engineMb.calling, 'MB');
  }
  return {
    rows,
    notes: [
      'Asterisk is replaced by a stand-in that refuses each call as busy after 20 ms; engine and PostgreSQL are real',
      'prepared: from the POST of a broadcast to a roster of so many students with one phone each, until the last call has its audio',
      'written directly: the same calls in one INSERT by SQL, indexes included',
      `claim: mean of the claim statement as the engine's own metric has it, over ${seconds} s of calling from the full queue`,
    ],
    details,
  };
}

async function measure(dir: string, size: number, seconds: number, say: (line: string) => void) {
  const [port = 0] = await freePorts(1);
  const ari = { url: `http://127.0.0.1:${port}`, user: 'rollcall', password: 'of-the-stand-in' };
  const standIn = await startProcess({
    name: 'the stand-in for ARI',
    command: process.execPath,
    args: [join(import.meta.dirname, 'ari-stand-in.ts'), String(port)],
    logFile: join(dir, 'stand-in.log'),
  });
  await standIn.ready(async () => (await fetch(`${ari.url}/ari/asterisk/info`)).ok, 10_000);
  const bench = await startBench({
    dir: join(dir, 'stack'),
    ari,
    caps: { maxChannels: 1_000, callsPerSecond: RATE },
  });
  try {
    const engineMb = async () => round((await footprint(bench.pids.engine ?? 0)).megabytes, 0);
    const before = await engineMb();
    const phones = people(size);
    const grade = await addRoster(bench, phones);
    await bench.db.query('analyze');
    say(`${size} students`);

    const asked = performance.now();
    const id = await askForBroadcast(bench, { grade }, { text: TEXT });
    const firstReadyS = await firstReady(bench, id, asked);
    await untilPrepared(bench, id, 1_800_000);
    const preparedS = (performance.now() - asked) / 1000;
    const prepared = await engineMb();
    say(`prepared in ${round(preparedS, 1)} s`);

    const claims = await claimsOf(bench);
    await bench.api.request('POST', `/v1/broadcasts/${id}/run`);
    const began = performance.now();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    const after = await claimsOf(bench);
    const rate = (after.calls - claims.calls) / ((performance.now() - began) / 1000);
    const calling = await engineMb();
    await bench.api.request('POST', `/v1/broadcasts/${id}/stop`);

    const held = await askForBroadcast(bench, { phones: phones.slice(0, 1) }, { text: TEXT });
    await untilPrepared(bench, held, 60_000);
    return {
      size,
      firstReadyS,
      preparedS,
      filledS: await fill(bench, held, phones.slice(1)),
      claimMs: ((after.seconds - claims.seconds) / (after.statements - claims.statements)) * 1000,
      callsPerClaim: (after.calls - claims.calls) / (after.statements - claims.statements),
      rate,
      engineMb: { before, prepared, calling },
    };
  } finally {
    await bench.stop();
    await standIn.stop();
  }
}

async function firstReady({ db }: Bench, id: string, asked: number): Promise<number> {
  const statement = "select from calls where broadcast_id = $1 and state = 'ready' limit 1";
  await until(
    'the first call is ready',
    600_000,
    async () => (await db.query(statement, [id])).rowCount === 1,
  );
  return (performance.now() - asked) / 1000;
}

/** Adds a call for each phone to a prepared broadcast; returns how long that took, in s. */
async function fill({ db }: Bench, id: string, phones: readonly string[]): Promise<number> {
  const client = await db.connect();
  try {
    await client.query("set statement_timeout = '30min'");
    const began = performance.now();
    await client.query(FILL, [id, phones]);
    return (performance.now() - began) / 1000;
  } finally {
    client.release(true);
  }
}

/** The engine's own counters of its claims. */
async function claimsOf({ engine }: Bench): Promise<{ calls: number; statements: number; seconds: number }> {
  const text = await (await fetch(`${engine.url}/metrics`)).text();
  const read = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  return {
    calls: read('rollcall_claims_total'),
    statements: read('rollcall_claim_seconds_count'),
    seconds: read('rollcall_claim_seconds_sum'),
  };
}
