import { RollcallError } from '../errors.ts';
import type { Rejection } from '../store/imports.ts';

/** Where in the file the reason is, as far as it is known. Lines are an editor's: the header is line 1. */
export interface Place {
  line?: number;
  column?: string;
  rejections?: Rejection[];
}

/**
 * The error for a file of which nothing is taken: FILE_REJECTED, with `{ file, line?, column?, rejections? }`.
 * `why` says what is wrong and what to do; it never has a name or a phone number in it.
 */
export function rejected(file: string, why: string, place: Place = {}): RollcallError {
  const at = [
    ...(place.line === undefined ? [] : [`line ${place.line}`]),
    ...(place.column === undefined ? [] : [`column ${place.column}`]),
  ].join(', ');
  return new RollcallError('FILE_REJECTED', `${file} was not imported: ${at === '' ? '' : `${at}: `}${why}`, {
    details: { file, ...place },
  });
}
