/**
 * Every failure that Rollcall can name. The code is stable and may be matched; the sentence is for people
 * and says what to do. `status` is what the HTTP API answers; `retryable` says whether the same request may
 * succeed later unchanged.
 */
const CATALOGUE = {
  CONFIG_INVALID: { status: 500, retryable: false },
  INPUT_INVALID: { status: 400, retryable: false },
  UNAUTHENTICATED: { status: 401, retryable: false },
  FORBIDDEN: { status: 403, retryable: false },
  NOT_FOUND: { status: 404, retryable: false },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false },
  CONFLICT: { status: 409, retryable: false },
  IDEMPOTENCY_MISMATCH: { status: 409, retryable: false },
  BODY_TOO_LARGE: { status: 413, retryable: false },
  MEDIA_TYPE_UNSUPPORTED: { status: 415, retryable: false },
  FILE_REJECTED: { status: 422, retryable: false },
  SCHEDULE_INVALID: { status: 422, retryable: false },
  CALLER_ID_UNPROVEN: { status: 422, retryable: false },
  TEMPLATE_INVALID: { status: 422, retryable: false },
  STATE_FORBIDS: { status: 409, retryable: false },
  RATE_LIMITED: { status: 429, retryable: true },
  SPEECH_FAILED: { status: 502, retryable: true },
  SECRET_KEY_MISSING: { status: 409, retryable: false },
  SECRET_UNREADABLE: { status: 500, retryable: false },
  STORE_UNAVAILABLE: { status: 503, retryable: true },
  SCHEMA_TOO_NEW: { status: 500, retryable: false },
  ARI_UNAVAILABLE: { status: 503, retryable: true },
  ARI_REFUSED: { status: 502, retryable: false },
  AMI_UNAVAILABLE: { status: 503, retryable: true },
  ARI_EVENT_INVALID: { status: 502, retryable: false },
  ASTERISK_TOO_OLD: { status: 500, retryable: false },
  NOT_READY: { status: 503, retryable: true },
  INTERNAL: { status: 500, retryable: false },
} as const;

export type ErrorCode = keyof typeof CATALOGUE;

export interface ErrorDetails {
  /** The error that led to this one. */
  cause?: unknown;
  /** Facts for the client or the log: ids, columns, limits. Never a phone number in clear or a name. */
  details?: Record<string, unknown>;
}

/** An error with a stable code; thrown everywhere in the engine instead of bare `Error`. */
export class RollcallError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly retryable: boolean;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, { cause, details = {} }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RollcallError';
    this.code = code;
    this.status = CATALOGUE[code].status;
    this.retryable = CATALOGUE[code].retryable;
    this.details = details;
  }
}

/** True when `error` is a Rollcall error, of the given code if one is given. */
export function isRollcallError(error: unknown, code?: ErrorCode): error is RollcallError {
  return error instanceof RollcallError && (code === undefined || error.code === code);
}

/** Wraps anything thrown into a RollcallError, keeping one that already is. */
export function toRollcallError(error: unknown): RollcallError {
  if (error instanceof RollcallError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new RollcallError('INTERNAL', message, { cause: error });
}
