import { behaviourOf } from './behaviours.ts';

/** One call as the carrier saw it. Times are epoch milliseconds with fractions, from one clock. */
export interface CarrierCall {
  /** SIP Call-ID; retransmissions and an INVITE's retries share it. */
  callId: string;
  /** Dialled number as it stood in the INVITE, with its `+`. */
  number: string;
  /** Caller's number, from the From header. */
  from: string;
  /** Name in behaviours.ts. */
  behaviour: string;
  inviteAt: number;
  /** When the ACK of the 200 came. */
  answeredAt?: number;
  /** Keys pressed, and when the first of them began. */
  pressed?: string;
  pressedAt?: number;
  /** Final failure sent, CANCEL or BYE received, BYE sent. Missing while the call lasts. */
  endedAt?: number;
  /** "nobody": the INVITE was ignored until Timer B. "crash": see `endedByCrash`. */
  endedBy?: 'engine' | 'carrier' | 'nobody' | 'crash';
  /** 200 once the ACK came; the failure code; 487 after a CANCEL. */
  finalCode?: number;
}

/** @returns the calls of a carrier's log in the order of their INVITEs; an unfinished last line is left out. */
export function parseCalls(log: string): CarrierCall[] {
  const calls = new Map<string, CarrierCall>();
  for (const line of log.slice(0, log.lastIndexOf('\n') + 1).split('\n')) {
    const [stamp = '', fact = '', ...rest] = line.split('|');
    const at = Number(stamp.split('\t').at(-1)) * 1000;
    const callId = rest.at(-1) ?? '';
    const [value = '', from = ''] = rest;
    if (fact === 'invite') {
      calls.set(callId, { callId, number: value, from, behaviour: behaviourOf(value).name, inviteAt: at });
      continue;
    }
    const call = calls.get(callId);
    if (call !== undefined) Object.assign(call, change(fact, value, at));
  }
  return [...calls.values()];
}

function change(fact: string, value: string, at: number): Partial<CarrierCall> {
  switch (fact) {
    case 'answered':
      return { answeredAt: at, finalCode: 200 };
    case 'pressed':
      return { pressed: value, pressedAt: at };
    case 'failed':
      return { endedAt: at, endedBy: 'carrier', finalCode: Number(value) };
    case 'cancelled':
      return { endedAt: at, endedBy: 'engine', finalCode: 487 };
    case 'bye-received':
      return { endedAt: at, endedBy: 'engine' };
    case 'bye-sent':
      return { endedAt: at, endedBy: 'carrier' };
    case 'given-up':
      return { endedAt: at, endedBy: 'nobody' };
    default:
      throw new Error(`the carrier's log holds an unknown fact: ${fact}`);
  }
}

/**
 * A killed Asterisk sends no BYE, so the carrier keeps its calls. A real carrier ends them by its own
 * timers; this is how a test says when Asterisk died.
 *
 * @param crashAt epoch milliseconds.
 * @returns the calls, with those that were live at `crashAt` ended then.
 */
export function endedByCrash(calls: readonly CarrierCall[], crashAt: number): CarrierCall[] {
  return calls.map((call) =>
    call.inviteAt <= crashAt && (call.endedAt ?? Infinity) > crashAt
      ? { ...call, endedAt: crashAt, endedBy: 'crash' }
      : call,
  );
}

/** @returns the most INVITEs in any window of `windowMs`, its start included and its end not. */
export function peakRate(calls: readonly CarrierCall[], windowMs = 1000): number {
  const times = calls.map((call) => call.inviteAt).sort((a, b) => a - b);
  let peak = 0;
  let first = 0;
  times.forEach((time, index) => {
    while ((times[first] ?? time) <= time - windowMs) first += 1;
    peak = Math.max(peak, index - first + 1);
  });
  return peak;
}

/** @returns the most calls at one moment, each from its INVITE to its end; ends count before starts. */
export function peakChannels(calls: readonly CarrierCall[]): number {
  const steps = calls.flatMap(({ inviteAt, endedAt }) => [
    { at: inviteAt, by: 1 },
    ...(endedAt === undefined ? [] : [{ at: endedAt, by: -1 }]),
  ]);
  steps.sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  let peak = 0;
  for (const { by } of steps) {
    now += by;
    peak = Math.max(peak, now);
  }
  return peak;
}
