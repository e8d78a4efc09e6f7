import { z } from 'zod';
import { RollcallError } from '../errors.ts';

/** Asterisk's own channel states; only those that a call of ours goes through are named. */
const channel = z.object({
  id: z.string(),
  name: z.string(),
  state: z.string(),
  /** The SIP Call-ID of a PJSIP channel. */
  protocol_id: z.string().optional(),
});
const playback = z.object({ id: z.string(), target_uri: z.string(), state: z.string() });

/** The events that we use, as Asterisk 22.10.1 and newer send them. Other fields are ignored. */
const eventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('StasisStart'), channel }),
  z.object({ type: z.literal('Dial'), peer: channel, dialstatus: z.string() }),
  z.object({ type: z.literal('ChannelDtmfReceived'), channel, digit: z.string(), duration_ms: z.number() }),
  z.object({
    type: z.literal('ChannelDestroyed'),
    channel,
    cause: z.number(),
    // Absent where Asterisk ended the call before any final response.
    tech_cause: z.number().optional(),
  }),
  z.object({ type: z.literal('PlaybackFinished'), playback }),
  z.object({ type: z.literal('ApplicationReplaced') }),
]);
export type AriEvent = z.infer<typeof eventSchema>;
/** Their types. */
export const EVENT_TYPES: readonly string[] = eventSchema.options.map((option) => option.shape.type.value);
const KNOWN: ReadonlySet<string> = new Set(EVENT_TYPES);

/** What Asterisk also sends to an application, and what we have no use for. */
const UNUSED: ReadonlySet<string> = new Set([
  'StasisEnd',
  'ChannelStateChange',
  'PlaybackStarted',
  'ChannelCreated',
  'ChannelVarset',
  'ChannelDialplan',
  'ChannelCallerId',
  'ChannelConnectedLine',
  'ChannelHangupRequest',
  'ChannelToneDetected',
  'PlaybackContinuing',
  'ApplicationRegistered',
  'ApplicationUnregistered',
  'DeviceStateChanged',
  'PeerStatusChange',
  'EndpointStateChange',
  'ContactStatusChange',
]);

const envelope = z.object({ type: z.string() });

/**
 * Checks one WebSocket message. Returns the event, or undefined for a type that is known to be of no use.
 * Throws ARI_EVENT_INVALID for what is neither JSON nor of a known shape or type, so that nothing is
 * dropped in silence.
 */
export function parseEvent(text: string): AriEvent | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new RollcallError('ARI_EVENT_INVALID', 'Asterisk sent an event that is not JSON', { cause: error });
  }
  const { success, data } = envelope.safeParse(json);
  const type = success ? data.type : '(no type)';
  if (UNUSED.has(type)) return undefined;
  if (!KNOWN.has(type))
    throw new RollcallError('ARI_EVENT_INVALID', `Asterisk sent an unknown event: ${type}`);
  const event = eventSchema.safeParse(json);
  if (event.success) return event.data;
  throw new RollcallError('ARI_EVENT_INVALID', `a ${type} event has not the shape we know`, {
    cause: event.error,
  });
}

/** The channel that an event is about. */
export function channelOf(event: AriEvent): string | undefined {
  switch (event.type) {
    case 'Dial':
      return event.peer.id;
    case 'PlaybackFinished':
      return /^channel:(.+)$/.exec(event.playback.target_uri)?.[1];
    case 'ApplicationReplaced':
      return undefined;
    default:
      return event.channel.id;
  }
}
