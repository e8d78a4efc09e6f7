import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { asteriskConsole } from '../local/asterisk.ts';
import { freePorts } from '../local/ports.ts';
import { type Driver, engineDriver, startDriver } from './drivers/driver.ts';
import type { Context, Figure, Figures, Row } from './figure.ts';
import { findPeak, type Trial } from './measure/peak.ts';
import { measureCpu } from './measure/processes.ts';
import { round } from './measure/stats.ts';
import { verdictOf } from './measure/verdict.ts';
import { messageMsOf, people, prepared, runBroadcast, soundOf, until } from './roster.ts';
import { type Bench, startBench } from './stack.ts';

const root = resolve(import.meta.dirname, '..');
export const SHORT_TEXT = 'Go.';
const GOAL = 0.8;
const BARE = 'bare ARI loop';
/** The engine's throttle keeps a guard in every second: so much more must be allowed for the same rate. */
export const HEADROOM = 1.03;

/** Figure 2: calls a second, the engine with its ledger beside ways of placing calls without one. */
export const peak: Figure = { name: 'peak', title: 'Peak rate', run };

async function run({ dir, quick, ways: chosen, say }: Context): Promise<Figures> {
  const bench = await startBench({ dir });
  try {
    const first = await prepared(bench, people(1), SHORT_TEXT);
    await runBroadcast(bench, first, 30_000);
    const messageMs = await messageMsOf(bench, first);
    const target = await openOtherWays(bench, await soundOf(bench, first));
    const ways: Record<string, () => Promise<Driver>> = {
      [BARE]: () => startDriver(BARE, target),
      'bare loop by WebSocket': () => startDriver('bare loop by WebSocket', target),
      engine: async () => engineDriver(bench, SHORT_TEXT, HEADROOM),
      'call files': () => startDriver('call files', target),
      AMI: () => startDriver('AMI', target),
      'ari-client': () => startDriver('ari-client', target),
    };
    const found: { name: string; peak: Trial; trials: Trial[] }[] = [];
    for (const [name, begin] of Object.entries(ways)) {
      if (chosen.length > 0 && !chosen.includes(name)) continue;
      const driver = await begin();
      try {
        const trial = tryOut(bench, driver, messageMs);
        const result = await findPeak(trial, {
          first: quick ? 80 : 40,
          stepSeconds: quick ? 4 : 10,
          sustainSeconds: quick ? 12 : 60,
          onTrial: (one) =>
            say(
              `${driver.name}: ${one.offered} offered, ${one.rate} placed, ${one.errors} errors of ${one.calls}`,
            ),
        });
        found.push({ name: driver.name, ...result });
      } finally {
        await driver.stop();
      }
      await untilQuiet(bench);
    }
    const bare = found.find(({ name }) => name === BARE)?.peak.rate ?? Number.NaN;
    const rows = found.map(({ name, peak }): Row => {
      const row = { what: name, value: peak.rate, unit: 'calls/s' };
      if (name === BARE || Number.isNaN(bare)) return row;
      const compared = { ...row, baseline: { what: BARE, value: bare } };
      return name === 'engine'
        ? { ...compared, goal: { at: 'least', value: round(bare * GOAL, 1) } }
        : compared;
    });
    const cpu = found.map(
      ({ name, peak }) =>
        `${name} ${peak.cpuMs.driver}${name === 'engine' ? ` + Postgres ${peak.cpuMs.postgres}` : ''}, Asterisk ${peak.cpuMs.asterisk}, carrier ${peak.cpuMs.carrier}`,
    );
    return {
      rows,
      notes: [
        `each call: INVITE, 200, ${round(messageMs / 1000)} s of message, BYE; an error is a call that was not answered, was cut short or was not hung up in time, by the carrier's log`,
        `offered rate raised by a quarter from ${quick ? 80 : 40} until errors pass 0.5 %, or less than 97 % is placed, or a step gains less than 3 %; then held for ${quick ? 12 : 60} s, in steps of 6 % down until it holds`,
        `CPU in ms per call at the peak: ${cpu.join('; ')}`,
        `call files and AMI play by an application of the dialplan: their drivers hear of fewer events, and know less of the call`,
      ],
      details: found,
    };
  } finally {
    await bench.stop();
  }
}

/** One trial of a driver: calls for so long at such a rate, judged by the carrier's log. */
export function tryOut(bench: Bench, driver: Driver, messageMs: number) {
  return async (offered: number, seconds: number): Promise<Trial> => {
    const numbers = people(Math.round(offered * seconds));
    const before = ((await bench.carrier?.calls()) ?? []).length;
    const { engine: _, ...others } = bench.pids;
    const used = await measureCpu({ ...others, driver: driver.pid });
    await driver.place(numbers, offered);
    await untilQuiet(bench);
    const cpu = await used();
    const verdict = verdictOf(((await bench.carrier?.calls()) ?? []).slice(before), messageMs);
    return {
      offered: round(offered, 1),
      seconds,
      calls: numbers.length,
      rate: verdict.rate,
      errors: numbers.length - verdict.good,
      cpuMs: Object.fromEntries(
        Object.entries(cpu).map(([name, value]) => [name, round((value / numbers.length) * 1000)]),
      ),
    };
  };
}

/** Waits until Asterisk has no channel left. */
export async function untilQuiet({ ari }: Pick<Bench, 'ari'>): Promise<void> {
  const authorization = `Basic ${Buffer.from(`${ari.user}:${ari.password}`).toString('base64')}`;
  await until('all channels are gone', 60_000, async () => {
    const response = await fetch(`${ari.url}/ari/channels`, { headers: { authorization } });
    return ((await response.json()) as unknown[]).length === 0;
  });
}

/** Opens the ways into this Asterisk that the engine itself does not use: its manager port and its spool. */
async function openOtherWays(bench: Bench, sound: string) {
  const runDir = join(bench.dir, 'asterisk');
  const spoolDir = join(runDir, 'state/spool');
  const [amiPort = 0] = await freePorts(1);
  const user = bench.asterisk?.user;
  const owner = user === undefined || user === 'same' ? undefined : { uid: user.uid, gid: user.gid };
  await mkdir(join(spoolDir, 'outgoing'), { recursive: true });
  const manager = join(runDir, 'config/manager.conf');
  await writeFile(
    manager,
    `[general]\nenabled = yes\nbindaddr = 127.0.0.1\nport = ${amiPort}\n[${bench.ari.user}]\nsecret = ${bench.ari.password}\n` +
      'read = call\nwrite = originate\neventfilter = Event: OriginateResponse\neventfilter = Event: Hangup\n',
  );
  if (owner !== undefined)
    for (const path of [spoolDir, join(spoolDir, 'outgoing'), manager])
      await chown(path, owner.uid, owner.gid);
  for (const command of ['module load app_playback.so', 'module load pbx_spool.so', 'module reload manager'])
    await asteriskConsole(join(root, 'var/asterisk-root'), runDir, command);
  return { ari: bench.ari, amiPort, spoolDir, ...(owner && { owner }), sound };
}
