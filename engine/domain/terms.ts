/**
 * The words of the field, as the database, the API and the report spell them. Sources: domain.md of the
 * specification for categories, outcomes and heard levels.
 */

/** What a broadcast is about; decides who is called, how urgently, and in which hours. */
export const CATEGORIES = [
  'emergency_school_hours',
  'emergency',
  'schools_out',
  'attendance',
  'general',
  'survey',
] as const;
export type Category = (typeof CATEGORIES)[number];

/** Lower is sooner. A more urgent broadcast takes every next permit. */
export const URGENCY: Readonly<Record<Category, number>> = {
  emergency_school_hours: 0,
  emergency: 0,
  schools_out: 1,
  attendance: 2,
  general: 3,
  survey: 4,
};

/**
 * Up to this urgency the daily cap per phone neither holds a call back nor counts it: emergencies, and schools
 * that close, because a parent who had six calls today has to learn of that all the same.
 */
export const UNCAPPED_URGENCY = URGENCY.schools_out;

export const SITE_LEVELS = ['elementary', 'middle', 'high', 'other'] as const;
export type SiteLevel = (typeof SITE_LEVELS)[number];

export const ROLES = ['administrator', 'sender', 'clerk', 'operator'] as const;
export type Role = (typeof ROLES)[number];

/**
 * `held`: created, not yet released to the dialer. `running`: the dialer may claim its calls. `paused`,
 * `stopped`: no new INVITE. `done`: every call has a final outcome. `missed`: a schedule's occurrence found
 * too late to be of use. `failed`: could not be prepared (see its reason).
 */
export const BROADCAST_STATES = ['held', 'running', 'paused', 'stopped', 'done', 'missed', 'failed'] as const;
export type BroadcastState = (typeof BROADCAST_STATES)[number];

/**
 * `planned`: waits for its audio. `waiting`: its next try is not due, or it waits for another phone of its
 * household. `ready`: may be claimed now. `dialing`: an attempt is open.
 */
export const CALL_STATES = ['planned', 'waiting', 'ready', 'dialing', 'done'] as const;
export type CallState = (typeof CALL_STATES)[number];

/** `claimed`: committed, INVITE not yet confirmed. `placed`: Asterisk has it. `answered`: 200 OK seen. */
export const ATTEMPT_STATES = ['claimed', 'placed', 'answered', 'ended'] as const;
export type AttemptState = (typeof ATTEMPT_STATES)[number];

/** What became of an attempt or a call. */
export const OUTCOMES = [
  // answered
  'confirmed', // a key acknowledged it
  'heard', // a person heard it to the end
  'partial', // hung up before the end
  'voicemail', // left on a machine
  'screened', // a call screener answered and nobody came
  'unsure', // played to the end, to a person or a machine: not known
  'not_heard', // answered, but nothing of the message was played
  // not answered
  'busy',
  'no_answer',
  'declined',
  'blocked', // by analytics (603+, 607, 608): never redialled
  'bad_number',
  // the way there
  'trunk_failure',
  'rate_limited',
  'trunk_refused',
  'no_common_codec',
  'barred', // no trunk may dial this number
  // ours
  'interrupted', // the engine or Asterisk went away in the middle
  'failed', // an error of our own; see the log by attempt id
  'no_number', // nobody to dial
  'no_audio', // its message could not be rendered
  'not_needed', // another phone of theirs was reached
  'over_cap', // the phone had its calls of the day
  'expired', // its time was over before it could be placed
  'stopped', // the broadcast was stopped first
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** How much of the message reached whom. `unsure`: all of it was played, to a person or to a machine. */
export const HEARD_LEVELS = [
  'confirmed',
  'full',
  'partial',
  'voicemail',
  'voicemail_partial',
  'unsure',
  'screened',
  'none',
] as const;
export type HeardLevel = (typeof HEARD_LEVELS)[number];

/** Codes for an absence after the SIS's own codes have been mapped. */
export const ABSENCE_CODES = ['unexcused', 'excused', 'tardy'] as const;
export type AbsenceCode = (typeof ABSENCE_CODES)[number];
