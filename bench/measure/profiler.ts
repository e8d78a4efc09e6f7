import { once } from 'node:events';
import WebSocket from 'ws';

/** The part of a V8 CPU profile that is used here. */
export interface CpuProfile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
    children?: number[];
  }[];
  /** Node ids, and µs since the sample before. */
  samples: number[];
  timeDeltas: number[];
}

export interface SelfTime {
  /** Function, file and line. */
  where: string;
  milliseconds: number;
  /** Of the time that was not idle. */
  share: number;
}

/** Begins a CPU profile of the Node process whose inspector listens on `port`; the result ends it. */
export async function startProfile(port: number): Promise<() => Promise<CpuProfile>> {
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
    webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket(targets[0]?.webSocketDebuggerUrl ?? '', { maxPayload: 1 << 30 });
  await once(socket, 'open');
  let last = 0;
  const ask = async (method: string, params: object = {}): Promise<unknown> => {
    const id = ++last;
    const answer = new Promise((resolve) => {
      socket.on('message', function hear(data) {
        const message = JSON.parse(data.toString());
        if (message.id !== id) return;
        socket.off('message', hear);
        resolve(message.result);
      });
    });
    socket.send(JSON.stringify({ id, method, params }));
    return answer;
  };
  await ask('Profiler.enable');
  await ask('Profiler.setSamplingInterval', { interval: 500 });
  await ask('Profiler.start');
  return async () => {
    const { profile } = (await ask('Profiler.stop')) as { profile: CpuProfile };
    socket.close();
    return profile;
  };
}

const IDLE = '(idle)';

/** Time spent in each function itself, most first; `groupOf` may put functions together. */
export function selfTimes(
  profile: CpuProfile,
  groupOf: (frame: CpuProfile['nodes'][number]['callFrame']) => string = locate,
): SelfTime[] {
  const groups = new Map(profile.nodes.map(({ id, callFrame }) => [id, groupOf(callFrame)]));
  const idle = new Set(
    profile.nodes.filter(({ callFrame }) => callFrame.functionName === IDLE).map(({ id }) => id),
  );
  const micros = new Map<string, number>();
  let busy = 0;
  profile.samples.forEach((id, index) => {
    if (idle.has(id)) return;
    const delta = profile.timeDeltas[index] ?? 0;
    const group = groups.get(id) ?? '?';
    micros.set(group, (micros.get(group) ?? 0) + delta);
    busy += delta;
  });
  return [...micros]
    .map(([where, time]) => ({ where, milliseconds: time / 1000, share: time / busy }))
    .sort((a, b) => b.milliseconds - a.milliseconds);
}

function locate({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const file = fileOf(url);
  return `${functionName || '(anonymous)'}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`;
}

const fileOf = (url: string) => url.replace(/^file:\/\//, '').replace(/^.*?\/(engine|node_modules)\//, '$1/');

/** The module of the engine, the npm package or Node's own part that a function belongs to. */
export function moduleOf({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): string {
  const file = fileOf(url);
  const [folder = '', name = '', second = ''] = file.split('/');
  if (folder === 'node_modules') return name.startsWith('@') ? `${name}/${second}` : name;
  if (folder === 'engine') return file;
  if (url === '') return functionName;
  return file;
}
