import { pino } from 'pino';

/**
 * The engine's logger: one JSON line per fact. Facts carry ids (`broadcast`, `call`, `attempt`, `trunk`,
 * `node`), so the life of one call is one grep. Names of people are never passed in; phone numbers go
 * through {@link maskPhone}.
 */
export type Log = pino.Logger;

// A second fence behind the rule above: should one of these fields be passed after all, it is removed.
const PERSONAL_FIELDS = [
  'phone',
  'number',
  'name',
  'first_name',
  'last_name',
  'firstName',
  'lastName',
  'email',
  'text',
];
const SECRET_FIELDS = ['authorization', 'password', 'secret', 'token', 'api_key', 'apiKey'];

/** Creates the root logger. `destination` is for tests that read the lines. */
export function createLog(level: string, destination?: pino.DestinationStream): Log {
  const fields = [...PERSONAL_FIELDS, ...SECRET_FIELDS];
  return pino(
    {
      level,
      base: { service: 'rollcall' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describeError(error) },
      redact: {
        paths: [...fields, ...fields.map((field) => `*.${field}`), 'req.headers.authorization'],
        censor: '[redacted]',
      },
    },
    destination ?? pino.destination({ sync: false }),
  );
}

const DEEPEST_CAUSE = 5;

// Not pino's own: that one copies every property, and PostgreSQL's `detail` repeats the row's values.
function describeError(error: unknown, depth = 0): unknown {
  if (typeof error !== 'object' || error === null) return String(error);
  // Not every library emits instances of Error: pg-boss copies one into a plain object.
  const { code, message, stack, cause } = error as Partial<Error> & { code?: unknown };
  return {
    // The `name` of anything else may be a person's.
    type: error instanceof Error ? error.name : (error.constructor?.name ?? 'object'),
    code,
    message: typeof message === 'string' ? message : undefined,
    stack,
    ...(cause !== undefined && depth < DEEPEST_CAUSE && { cause: describeError(cause, depth + 1) }),
  };
}

/** `+13035550142` -> `…0142`: enough to recognise a number one already knows, useless otherwise. */
export function maskPhone(phone: string | null): string {
  return phone === null ? '(none)' : `…${phone.slice(-4)}`;
}
