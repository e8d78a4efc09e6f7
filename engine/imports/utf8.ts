import { isUtf8 } from 'node:buffer';
import type { Hash } from 'node:crypto';
import { Transform } from 'node:stream';
import { rejected } from './rejected.ts';

/** Longer than any row: a file without line breaks must not fill the memory. Bytes. */
const LONGEST_LINE = 1 << 20;
const NEWLINE = 0x0a;
const SAVE_AS = 'save it as UTF-8 (in Excel: "CSV UTF-8") and send it again';

/**
 * Lets through only UTF-8 text, in whole lines, and feeds the bytes as they came to `hash`. A byte order mark
 * is dropped. Line breaks come out as LF: csv-parse takes the first one it meets for all of them (with CRLF
 * first, rows that end in LF become one cell), and counts CRLF inside quotes as two lines.
 *
 * Fails with FILE_REJECTED, naming the line, for bytes that are not UTF-8, for UTF-16 and for binary data.
 */
export function utf8Lines(file: string, hash: Hash): Transform {
  let rest: Buffer = Buffer.alloc(0);
  let lines = 0;

  // A line break is never inside a character of UTF-8, so whole lines can be checked by themselves.
  const checked = (bytes: Buffer): string => {
    const isFirst = lines === 0;
    if (isFirst && isUtf16(bytes)) throw rejected(file, `it is in UTF-16 ("Unicode text"); ${SAVE_AS}`);
    const zero = bytes.indexOf(0);
    if (zero !== -1) {
      throw rejected(file, `there is a zero byte, as in UTF-16 and in workbooks; ${SAVE_AS}`, {
        line: lines + 1 + countLines(bytes.subarray(0, zero)),
      });
    }
    if (!isUtf8(bytes)) {
      throw rejected(file, `it is not in UTF-8; ${SAVE_AS}`, { line: lines + firstBadLine(bytes) });
    }
    lines += countLines(bytes);
    const text = bytes.toString('utf8').replace(/\r\n?/g, '\n');
    return isFirst && text.startsWith('\ufeff') ? text.slice(1) : text;
  };

  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      rest = bytes.subarray(end);
      settle(done, () => {
        const text = end === 0 ? undefined : checked(bytes.subarray(0, end));
        if (rest.length > LONGEST_LINE)
          throw rejected(file, 'the line is longer than 1 MiB: send a CSV file', { line: lines + 1 });
        return text;
      });
    },
    flush(done) {
      settle(done, () => (rest.length === 0 ? undefined : checked(rest)));
    },
  });
}

function settle(done: (error: Error | null, text?: string) => void, work: () => string | undefined): void {
  let text: string | undefined;
  try {
    text = work();
  } catch (error) {
    done(error as Error);
    return;
  }
  done(null, text);
}

const isUtf16 = (bytes: Buffer): boolean =>
  (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);

function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}

/** 1 for the first line of `bytes`, which are known to have a bad one. */
function firstBadLine(bytes: Buffer): number {
  let start = 0;
  let line = 1;
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    if (!isUtf8(bytes.subarray(start, end))) return line;
    start = end + 1;
    line++;
  }
  return line;
}
