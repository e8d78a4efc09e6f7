import { z } from 'zod';
import type { AriEvent } from './events.ts';
import type { AriHttp } from './http.ts';
import type { ChannelHandler } from './router.ts';

export interface Originate {
  /** Chosen by the caller; while it lives, a second originate with the same id is refused with 409. */
  channelId: string;
  /** For example `PJSIP/+13035550142@carrier`. Must be checked by the caller: Asterisk dials what it says. */
  endpoint: string;
  /** `"name" <number>` or a number. */
  callerId: string | undefined;
  /** Asterisk gives up ringing by itself after this many seconds. */
  timeoutSeconds: number;
  variables: Record<string, string>;
}

/** What Asterisk says of a living channel. */
export interface Channel {
  id: string;
  /** `Down`, `Ring`, `Ringing`, `Up`, … */
  state: string;
}

export interface ConnectionHandlers {
  /** Asked before each connection: false while the application is another engine's. */
  mayConnect?(): boolean;
  /** Connected, or connected again: `startedAt` is when this Asterisk was started. List the channels. */
  onUp(startedAt: Date): void;
  /**
   * Events are being lost, since the first of these calls; one call for each failed try. `refused`: the
   * machine is there and nothing listens, so that Asterisk is not running at this moment.
   */
  onDown(error: Error, refused: boolean): void;
  /** Another connection took over our application: it gets the events, we do not. */
  onReplaced(): void;
  /** An event of a channel that has no handler. */
  onStray(event: AriEvent): void;
}

export interface AriClient {
  originate(call: Originate): Promise<void>;
  /** Plays `media`, for example `sound:/path/without/extension`. */
  play(channelId: string, playbackId: string, media: string): Promise<void>;
  /** A playback that is over already is no error. */
  stopPlayback(playbackId: string): Promise<void>;
  /** A channel that is gone already is no error. */
  hangup(channelId: string): Promise<void>;
  channels(): Promise<Channel[]>;
  channel(channelId: string): Promise<Channel | undefined>;
  playbackExists(playbackId: string): Promise<boolean>;
  /** How much audio Asterisk has sent to the channel, in ms; 0 for one that is gone. */
  audioSentMs(channelId: string): Promise<number>;
  /** Asks for the events of a channel that an earlier process of ours made. */
  subscribe(channelId: string): Promise<void>;
  attach(channelId: string, handler: ChannelHandler): void;
  detach(channelId: string): void;
  readonly connected: boolean;
  close(): Promise<void>;
}

const channelSchema = z.object({ id: z.string(), state: z.string() });
const statisticsSchema = z.object({ txcount: z.number() });
/** Audio in one RTP packet: what we offer, and what every trunk has taken so far. */
const PACKET_MS = 20;

/** The ARI operations that we use; source: Asterisk 22's rest-api resources. */
export function operations(http: AriHttp, app: string) {
  const idOf = encodeURIComponent;
  return {
    async originate({ channelId, endpoint, callerId, timeoutSeconds, variables }: Originate) {
      await http.request('POST', '/channels', {
        query: { channelId, endpoint, callerId, app, timeout: timeoutSeconds },
        body: { variables },
        // A channel with this id lives: an earlier request, whose answer was lost, made it.
        tolerate: [409],
      });
    },
    async play(channelId: string, playbackId: string, media: string) {
      await http.request('POST', `/channels/${idOf(channelId)}/play/${idOf(playbackId)}`, {
        query: { media },
      });
    },
    async stopPlayback(playbackId: string) {
      await http.request('DELETE', `/playbacks/${idOf(playbackId)}`, { tolerate: [404] });
    },
    async hangup(channelId: string) {
      await http.request('DELETE', `/channels/${idOf(channelId)}`, { tolerate: [404] });
    },
    async channels() {
      return z.array(channelSchema).parse(await http.request('GET', '/channels'));
    },
    async channel(channelId: string) {
      const body = await http.request('GET', `/channels/${idOf(channelId)}`, { tolerate: [404] });
      return body === undefined ? undefined : channelSchema.parse(body);
    },
    async playbackExists(playbackId: string) {
      return (await http.request('GET', `/playbacks/${idOf(playbackId)}`, { tolerate: [404] })) !== undefined;
    },
    async audioSentMs(channelId: string) {
      const body = await http.request('GET', `/channels/${idOf(channelId)}/rtp_statistics`, {
        tolerate: [404],
      });
      return body === undefined ? 0 : statisticsSchema.parse(body).txcount * PACKET_MS;
    },
    async subscribe(channelId: string) {
      const source = `channel:${channelId}`;
      await http.request('POST', `/applications/${idOf(app)}/subscription`, {
        query: { eventSource: source },
      });
    },
  };
}
