import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join, resolve } from 'node:path';
import { startProcess } from '../../../local/processes.ts';
import type { Carrier } from './carrier.ts';
import { parseCalls } from './log.ts';
import { prepareCarrier } from './prepare.ts';

/** The simulated carrier of carrier.ts over TCP; all calls of a peer share one connection. */
export async function startTcpCarrier({
  port,
  mediaPort,
  ...options
}: {
  port: number;
  mediaPort: number;
  runDir: string;
}): Promise<Carrier> {
  const host = '127.0.0.1';
  const runDir = resolve(options.runDir);
  await prepareCarrier(runDir);
  const child = await startProcess({
    name: 'sipp (the simulated carrier over TCP)',
    command: 'sipp',
    args: [
      ...[
        '-t',
        't1',
        '-sf',
        'scenario.xml',
        '-i',
        host,
        '-p',
        String(port),
        '-mi',
        host,
        '-mp',
        String(mediaPort),
      ],
      ...['-trace_logs', '-log_file', 'calls.log', '-trace_err', '-error_file', 'errors.log'],
      ...['-watchdog_interval', '0', '-nostdin'],
    ],
    logFile: join(runDir, 'sipp.log'),
    cwd: runDir,
    dropOutput: true,
  });
  await child.ready(async () => {
    const socket = createConnection(port, host);
    await once(socket, 'connect');
    socket.destroy();
    return true;
  }, 10_000);
  return {
    pid: child.pid,
    host,
    port,
    calls: async () => parseCalls(await readFile(join(runDir, 'calls.log'), 'utf8').catch(() => '')),
    stop: () => child.stop(2_000),
    kill: () => child.kill(),
  };
}
