/**
 * Steps the wall clock of the process that it is loaded into (`NODE_OPTIONS=--import …`), by the milliseconds that
 * stand in the file CHAOS_CLOCK_FILE. Monotonic time, timers and PostgreSQL's clock are not touched, as with a step
 * by an operator or NTP on the engine's machine.
 */
import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 50;
const file = process.env.CHAOS_CLOCK_FILE;
const RealDate = Date;
let shiftMs = 0;

class ShiftedDate extends RealDate {
  constructor(...given: unknown[]) {
    if (given.length === 0) super(RealDate.now() + shiftMs);
    else super(...(given as [number]));
  }

  static override now(): number {
    return RealDate.now() + shiftMs;
  }
}

if (file !== undefined) {
  globalThis.Date = ShiftedDate as DateConstructor;
  const look = () => {
    const read = Number(readFileSync(file, 'utf8'));
    if (Number.isFinite(read)) shiftMs = read;
  };
  look();
  setInterval(look, LOOK_EVERY_MS).unref();
}
