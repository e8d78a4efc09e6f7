import type { BroadcastState } from './terms.ts';

/** What a person may ask of a broadcast. */
export const BROADCAST_ACTIONS = ['run', 'pause', 'resume', 'stop'] as const;
export type BroadcastAction = (typeof BROADCAST_ACTIONS)[number];

/** From which states an action may start, and where it leads. What is not here is refused. */
const TRANSITIONS: Readonly<
  Record<BroadcastAction, { from: readonly BroadcastState[]; to: BroadcastState }>
> = {
  run: { from: ['held'], to: 'running' },
  pause: { from: ['running'], to: 'paused' },
  resume: { from: ['paused'], to: 'running' },
  stop: { from: ['held', 'running', 'paused'], to: 'stopped' },
};

/**
 * The state that the action leads to; the same state when it is already reached, since a request repeated
 * after a lost reply must not fail; undefined when the state forbids it.
 */
export function afterAction(state: BroadcastState, action: BroadcastAction): BroadcastState | undefined {
  const { from, to } = TRANSITIONS[action];
  return state === to || from.includes(state) ? to : undefined;
}

/** True when no call of the broadcast will be started any more, by whatever request. */
export function isOver(state: BroadcastState): boolean {
  return state === 'stopped' || state === 'done' || state === 'missed' || state === 'failed';
}

/** The actions that would be allowed in this state, for an error that says what can be done. */
export function allowedActions(state: BroadcastState): BroadcastAction[] {
  return BROADCAST_ACTIONS.filter((action) => TRANSITIONS[action].from.includes(state));
}
