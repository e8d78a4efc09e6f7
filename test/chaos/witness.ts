import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';

/** What Asterisk said of one playback. Times are Asterisk's own, epoch ms. */
export interface Playback {
  /** The channel, which is the attempt's id. */
  attemptId: string;
  startedAt: number;
  /** Missing when nobody heard how it ended: Asterisk died, or the witness was not connected. */
  finishedAt?: number;
  /** Played to its end, and not stopped or broken off. */
  done?: boolean;
}

/**
 * A second listener at an Asterisk node, past the faulty ARI relay. It tells when audio was really played: an
 * answered call may wait long for its message while PostgreSQL or the engine is away.
 */
export interface Witness {
  playbacks(): Playback[];
  /** SIP Call-ID of each channel that was seen. */
  callIds(): Map<string, string>;
  /** When channels were destroyed, epoch ms. */
  ends(): Map<string, number>;
  stop(): Promise<void>;
}

interface Said {
  type: string;
  timestamp?: string;
  channel?: { id: string; protocol_id?: string };
  peer?: { id: string; protocol_id?: string };
  playback?: { id: string; target_uri: string; state: string };
}

const RETRY_MS = 50;

/** Listens at `ariUrl` (`http://127.0.0.1:8088/ari`), again and again until `stop`. */
export function startWitness(ariUrl: string, user: string, password: string): Witness {
  const playbacks = new Map<string, Playback>();
  const callIds = new Map<string, string>();
  const ends = new Map<string, number>();
  const address = `${ariUrl.replace('http:', 'ws:')}/events?app=chaos-witness&subscribeAll=true`;
  const headers = { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
  let stopped = false;
  let socket: WebSocket | undefined;

  const note = ({ type, timestamp, channel, peer, playback }: Said): void => {
    const at = Date.parse(timestamp ?? '');
    for (const one of [channel, peer])
      if (one?.protocol_id !== undefined && one.protocol_id !== '') callIds.set(one.id, one.protocol_id);
    if (type === 'ChannelDestroyed' && channel !== undefined) ends.set(channel.id, at);
    if (playback === undefined) return;
    const attemptId = playback.target_uri.replace('channel:', '');
    if (type === 'PlaybackStarted') playbacks.set(playback.id, { attemptId, startedAt: at });
    const begun = playbacks.get(playback.id);
    if (type === 'PlaybackFinished' && begun !== undefined)
      playbacks.set(playback.id, { ...begun, finishedAt: at, done: playback.state === 'done' });
  };

  const listenOnce = () =>
    new Promise<void>((resolve) => {
      socket = new WebSocket(address, { headers, handshakeTimeout: 2_000 });
      socket.on('message', (data) => note(JSON.parse(data.toString()) as Said));
      // The close follows.
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
    });
  const run = async (): Promise<void> => {
    while (!stopped) {
      await listenOnce();
      if (!stopped) await sleep(RETRY_MS);
    }
  };
  const running = run();
  return {
    playbacks: () => [...playbacks.values()],
    callIds: () => callIds,
    ends: () => ends,
    async stop() {
      stopped = true;
      socket?.terminate();
      await running;
    },
  };
}
