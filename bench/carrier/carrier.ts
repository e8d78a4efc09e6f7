import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProcess } from '../../local/processes.ts';
import { type CarrierCall, parseCalls } from '../../test/sim/carrier/log.ts';
import { benchScenario } from './scenario.ts';

export interface BenchCarrierOptions {
  /** UDP port for SIP. */
  port: number;
  /** SIPp's own media port. */
  ownMediaPort: number;
  /** Where the audio of all calls is to go instead. */
  mediaPort?: number;
  runDir: string;
}

export interface BenchCarrier {
  readonly pid: number;
  readonly port: number;
  /** All calls since the start, in the order of their INVITEs. Times are epoch ms with fractions. */
  calls(): Promise<CarrierCall[]>;
  stop(): Promise<void>;
}

/** Starts the lean carrier on 127.0.0.1. It is ready a moment later; Asterisk's OPTIONS find out. */
export async function startBenchCarrier(options: BenchCarrierOptions): Promise<BenchCarrier> {
  const { port, ownMediaPort, mediaPort, runDir } = options;
  await mkdir(runDir, { recursive: true });
  await writeFile(join(runDir, 'scenario.xml'), benchScenario(mediaPort));
  const host = '127.0.0.1';
  const callLog = join(runDir, 'calls.log');
  const child = await startProcess({
    name: "sipp (the benchmark's carrier)",
    command: 'sipp',
    args: [
      ...['-sf', 'scenario.xml', '-i', host, '-p', String(port), '-mi', host, '-mp', String(ownMediaPort)],
      ...['-trace_logs', '-log_file', 'calls.log', '-trace_err', '-error_file', 'errors.log'],
      ...['-watchdog_interval', '0', '-nostdin'],
      // One datagram lost in a burst is sent again after half a second: that would be measured as ours.
      ...['-buff_size', '4000000'],
    ],
    logFile: join(runDir, 'sipp.log'),
    cwd: runDir,
    dropOutput: true,
  });
  await sleep(300);
  if (!child.isRunning()) throw new Error(`the benchmark's carrier did not start: see ${runDir}/sipp.log`);
  return {
    pid: child.pid,
    port,
    // SIPp makes the file with its first line.
    calls: async () => parseCalls(await readFile(callLog, 'utf8').catch(() => '')),
    stop: () => child.stop(2_000),
  };
}
