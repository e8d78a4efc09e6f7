import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { toRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type AriEvent, parseEvent } from './events.ts';
import { type AriHttp, openAriHttp } from './http.ts';
import { type ChannelHandler, createRouter } from './router.ts';
import { openAriSocket } from './socket.ts';
import { requireVersion } from './version.ts';

export interface AriOptions {
  /** Asterisk's HTTP server, without `/ari`. */
  url: string;
  user: string;
  password: string;
  /** The Stasis application's name. */
  app: string;
}

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
  /** Connected, or connected again: `startedAt` is when this Asterisk was started. List the channels. */
  onUp(startedAt: Date): void;
  /**
   * Events are being lost, since the first of these calls; one call for each failed try. `refused`: the
   * machine is there and nothing listens, so that Asterisk is not running at this moment.
   */
  onDown(error: Error, refused: boolean): void;
  /** Another process took over our application: it gets the events, we do not. */
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
  /** Asks for the events of a channel that an earlier process of ours made. */
  subscribe(channelId: string): Promise<void>;
  attach(channelId: string, handler: ChannelHandler): void;
  detach(channelId: string): void;
  readonly connected: boolean;
  close(): Promise<void>;
}

const channelSchema = z.object({ id: z.string(), state: z.string() });
const infoSchema = z.object({
  system: z.object({ version: z.string() }),
  status: z.object({ startup_time: z.string() }),
});

/**
 * Connects to one Asterisk node and stays connected until `close`. Operations throw ARI_UNAVAILABLE when no
 * answer came and ARI_REFUSED for an error status; see {@link AriHttp}.
 */
export function connectAri(
  options: AriOptions,
  { clock, log }: { clock: Clock; log: Log },
  handlers: ConnectionHandlers,
): AriClient {
  const http = openAriHttp(options);
  const router = createRouter(handlers.onStray);
  let connected = false;
  let startedAt = new Date(0);

  const onMessage = (text: string) => {
    let event: AriEvent | undefined;
    try {
      event = parseEvent(text);
    } catch (error) {
      log.warn({ err: toRollcallError(error) }, 'event not understood');
      return;
    }
    if (event?.type === 'ApplicationReplaced') handlers.onReplaced();
    else if (event !== undefined) router.dispatch(event);
  };
  const socket = openAriSocket(options, clock, {
    prepare: async () => {
      const { system, status } = infoSchema.parse(await http.request('GET', '/asterisk/info'));
      requireVersion(system.version);
      startedAt = new Date(status.startup_time);
    },
    onOpen: () => {
      connected = true;
      handlers.onUp(startedAt);
    },
    onMessage,
    onDown: (error) => {
      connected = false;
      handlers.onDown(error, isRefusal(error));
    },
  });
  return {
    ...operations(http, options.app),
    attach: router.attach,
    detach: router.detach,
    get connected() {
      return connected;
    },
    close: async () => {
      await socket.close();
      await http.close();
    },
  };
}

/** The ARI operations that we use; source: Asterisk 22's rest-api resources. */
function operations(http: AriHttp, app: string) {
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
    async subscribe(channelId: string) {
      const source = `channel:${channelId}`;
      await http.request('POST', `/applications/${idOf(app)}/subscription`, {
        query: { eventSource: source },
      });
    },
  };
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error as { code?: string }).code === 'ECONNREFUSED' || isRefusal(error.cause);
}
