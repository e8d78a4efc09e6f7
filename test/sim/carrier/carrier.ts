import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startProcess } from '../../../local/processes.ts';
import { type CarrierCall, parseCalls } from './log.ts';
import { prepareCarrier } from './prepare.ts';

export { type CarrierCall, endedByCrash, peakChannels, peakRate } from './log.ts';

export interface CarrierOptions {
  /** Address for SIP and audio; 127.0.0.1 when left out. */
  host?: string;
  /** UDP port for SIP. */
  port: number;
  /** First UDP port for audio. Key presses come from this one; each other call takes two above it. */
  mediaPort: number;
  /** The carrier's own directory, created when missing: scenario, sounds, log. */
  runDir: string;
}

export interface Carrier {
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  /** All calls since the start, read from the carrier's log, which it flushes line by line. */
  calls(): Promise<CarrierCall[]>;
  /** Ends SIPp at once, without BYE to live calls. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/**
 * Starts the simulated carrier: one SIPp for all calls. Needs root (or CAP_NET_RAW) for key presses.
 *
 * @returns when it answers OPTIONS.
 * @throws when SIPp, flite or sox is missing, or the port is taken.
 */
export async function startCarrier(options: CarrierOptions): Promise<Carrier> {
  const { host = '127.0.0.1', port, mediaPort } = options;
  const runDir = resolve(options.runDir);
  const callLog = join(runDir, 'calls.log');
  await prepareCarrier(runDir);
  const child = await startProcess({
    name: 'sipp (the simulated carrier)',
    command: 'sipp',
    args: sippArguments(host, port, mediaPort),
    logFile: join(runDir, 'sipp.log'),
    cwd: runDir,
    dropOutput: true,
  });
  await child.ready(() => answersOptions(host, port), 10_000);
  return {
    pid: child.pid,
    host,
    port,
    calls: async () => parseCalls(await readFile(callLog, 'utf8')),
    stop: () => child.stop(2000),
    kill: () => child.kill(),
  };
}

/** docker/carrier.Dockerfile starts SIPp with the same arguments. */
function sippArguments(host: string, port: number, mediaPort: number): string[] {
  return [
    ...['-sf', 'scenario.xml', '-i', host, '-p', String(port), '-mi', host, '-mp', String(mediaPort)],
    // The log is overwritten at each start.
    ...['-trace_logs', '-log_file', 'calls.log', '-trace_err', '-error_file', 'errors.log'],
    // SIPp's watchdog would end it on a slow machine.
    ...['-watchdog_interval', '0', '-nostdin'],
    // A late repetition, or an ACK that crosses a BYE, must not end a call.
    ...['-default_behaviors', 'all,-abortunexp'],
  ];
}

async function answersOptions(host: string, port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  try {
    socket.bind(0, host);
    await once(socket, 'listening');
    const from = `${host}:${socket.address().port}`;
    const id = crypto.randomUUID();
    socket.send(
      [
        `OPTIONS sip:${host}:${port} SIP/2.0`,
        `Via: SIP/2.0/UDP ${from};branch=z9hG4bK${id}`,
        `From: <sip:ready@${from}>;tag=${id}`,
        `To: <sip:${host}:${port}>`,
        `Call-ID: ${id}`,
        'CSeq: 1 OPTIONS',
        `Contact: <sip:ready@${from}>`,
        'Max-Forwards: 70',
        'Content-Length: 0',
        '\r\n',
      ].join('\r\n'),
      port,
      host,
    );
    const [reply] = (await once(socket, 'message', { signal: AbortSignal.timeout(100) })) as [Buffer];
    return reply.toString().startsWith('SIP/2.0 200');
  } finally {
    socket.close();
  }
}
