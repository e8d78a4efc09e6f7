import { join, resolve } from 'node:path';

/** One line of the table. */
export interface Row {
  what: string;
  value: number;
  unit: string;
  /** Measured in the same run on the same machine, with what was measured. */
  baseline?: { what: string; value: number };
  /** What the value is to be at least or at most. */
  goal?: { at: 'least' | 'most'; value: number };
}

export interface Figures {
  rows: Row[];
  /** How it was measured, formulas included: printed below the table. */
  notes: string[];
  /** Everything else worth keeping; goes to the JSON file only. */
  details: unknown;
}

export interface Context {
  /** The figure's own folder. */
  dir: string;
  /** Runs shorter: the figures are then noisier than the goals. */
  quick: boolean;
  /** Length of the soak in minutes. */
  minutes: number;
  /** Figure 2: these ways of placing calls only; all when empty. */
  ways: readonly string[];
  /** Says how far it is. */
  say(line: string): void;
}

export interface Figure {
  name: string;
  title: string;
  run(context: Context): Promise<Figures>;
}

export const isMet = ({ value, goal }: Row): boolean | undefined =>
  goal === undefined ? undefined : goal.at === 'least' ? value >= goal.value : value <= goal.value;

/** The context of a figure that is run by itself, such as from a test. */
export const contextFor = (name: string, options: Partial<Context> = {}): Context => ({
  dir: resolve(join(import.meta.dirname, '..', 'var/bench/run', name)),
  quick: false,
  minutes: 30,
  ways: [],
  say: (line) => process.stderr.write(`${line}\n`),
  ...options,
});
