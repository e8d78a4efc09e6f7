import { Transform } from 'node:stream';
import { isRollcallError, RollcallError } from '../errors.ts';

/**
 * Passes bytes on, and fails with BODY_TOO_LARGE at the first one beyond `limit`. `beforeEnd` runs when all
 * were passed on, and what it throws fails the stream before its reader sees the end. An error of the source
 * arrives as INPUT_INVALID.
 */
export function limitBytes(limit: number, beforeEnd: () => Promise<void> = async () => {}): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      done(seen > limit ? tooLarge(limit) : null, chunk);
    },
    flush(done) {
      beforeEnd().then(() => done(), done);
    },
    // What comes from above is the form parser's error or the socket's, and the client's doing in both cases.
    destroy(error, done) {
      done(error === null || isRollcallError(error) ? error : malformedUpload(error));
    },
  });
}

/** For an upload that is no form, or that broke off. */
export function malformedUpload(cause: unknown): RollcallError {
  return new RollcallError('INPUT_INVALID', 'the upload is malformed or was cut short; send it again', {
    cause,
  });
}

export function tooLarge(limit: number): RollcallError {
  return new RollcallError(
    'BODY_TOO_LARGE',
    `the body may have at most ${sizeOf(limit)}; send the file in parts`,
    {
      details: { limit },
    },
  );
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** `256 MiB`, rounded down. */
export function sizeOf(bytes: number): string {
  return bytes < MIB ? `${Math.floor(bytes / KIB)} KiB` : `${Math.floor(bytes / MIB)} MiB`;
}
