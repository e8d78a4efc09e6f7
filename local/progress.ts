/** One living line per phase on a terminal; elsewhere plain lines, not more than one in five seconds. */
export interface Phase {
  /** `share` of 0 to 1 draws a bar. */
  update(text: string, share?: number): void;
  done(text: string): void;
}

const PLAIN_EVERY_MS = 5_000;
const BAR_WIDTH = 24;
const CLEAR_LINE = '\r\x1b[K';

/** Begins a phase; end it with `done` before the next one begins. */
export function startPhase(name: string, out: NodeJS.WriteStream = process.stdout): Phase {
  const began = Date.now();
  let lastPlain = 0;
  const seconds = () => `${((Date.now() - began) / 1000).toFixed(1)} s`;
  return {
    update(text, share) {
      if (out.isTTY) {
        const line = `  ${name}: ${share === undefined ? '' : `${bar(share)} `}${text}`;
        out.write(`${CLEAR_LINE}${line.slice(0, out.columns - 1)}`);
      } else if (Date.now() - lastPlain >= PLAIN_EVERY_MS) {
        lastPlain = Date.now();
        out.write(`  ${name}: ${text}\n`);
      }
    },
    done(text) {
      out.write(`${out.isTTY ? CLEAR_LINE : ''}  ${name}: ${text} (${seconds()})\n`);
    },
  };
}

function bar(share: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
}
