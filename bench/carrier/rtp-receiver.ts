import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProcess } from '../../local/processes.ts';
import { type Arrival, parseArrivals } from '../measure/rtp.ts';

export interface RtpReceiver {
  readonly pid: number;
  /** Packets that the receiver itself lost, because it was too slow. */
  drops(): Promise<number>;
  /** Ends it; returns what arrived, in order. */
  stop(): Promise<Arrival[]>;
}

/** Receives audio on 127.0.0.1:`port` with the kernel's time stamps; writes to a file in `dir`. */
export async function startRtpReceiver(port: number, dir: string): Promise<RtpReceiver> {
  const file = join(dir, 'rtp.bin');
  const child = await startProcess({
    name: 'the RTP receiver',
    command: 'perl',
    args: [join(import.meta.dirname, 'rtp-receiver.pl'), String(port), file],
    logFile: join(dir, 'rtp-receiver.log'),
  });
  await child.ready(async () => (await socketLine(port)) !== undefined, 5_000);
  return {
    pid: child.pid,
    drops: async () => Number((await socketLine(port))?.trim().split(/\s+/).at(-1) ?? Number.NaN),
    async stop() {
      await child.stop(5_000);
      return parseArrivals(await readFile(file));
    },
  };
}

/** The kernel's line on a UDP socket, whose last field counts what was dropped. */
async function socketLine(port: number): Promise<string | undefined> {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  return (await readFile('/proc/net/udp', 'utf8')).split('\n').find((line) => line.includes(local));
}
