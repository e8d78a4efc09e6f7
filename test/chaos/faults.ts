import { type Random, seeded } from '../sample/random.ts';
import type { LinkFaults } from './link.ts';

/** What there is to break. */
export interface Parts {
  /** Names of the engine's processes, such as "engine" and "dialer-1". */
  engines: readonly string[];
  /** How many Asterisk nodes and how many trunks. */
  nodes: number;
  trunks: number;
  /** A small disk for the prompts could be mounted. */
  disk: boolean;
}

/** What happens, once the part is known. */
export type FaultAction =
  | { do: 'kill-engine'; engine: string }
  | { do: 'kill-asterisk'; node: number }
  | { do: 'kill-postgres' }
  /** One state after the other; then the link is calm again. */
  | { do: 'link'; trunk: number; phases: { faults: Partial<LinkFaults>; ms: number }[] }
  | { do: 'ari'; node: number; how: 'drop' | 'refuse' | 'stall' }
  | { do: 'fill-disk' }
  | { do: 'step-clock'; byMs: number };

export interface PlannedFault {
  number: number;
  kind: FaultKind;
  /** After the start of the fault before it. */
  gapMs: number;
  /** Until the killed part is started again, or all is well. */
  lastsMs: number;
  action: FaultAction;
  /** Parts that no other fault may touch meanwhile, and parts that must be whole when it begins. */
  holds: string[];
  needs: string[];
  text: string;
}

interface Recipe {
  /** How often, against the others. */
  weight: number;
  /** ms, from and to. */
  lasts: readonly [number, number];
  /** Undefined where the part is missing. */
  make(
    parts: Parts,
    lastsMs: number,
    random: Random,
  ): Pick<PlannedFault, 'action' | 'holds' | 'needs' | 'text'> | undefined;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
const between = (random: Random, from: number, to: number) => from + random.integer(to - from + 1);

/** A fault of one trunk's link with a single phase. */
const onLink = (
  weight: number,
  lasts: readonly [number, number],
  describe: (random: Random) => { faults: Partial<LinkFaults>; text: string },
): Recipe => ({
  weight,
  lasts,
  make({ trunks }, ms, random) {
    const trunk = random.integer(trunks);
    const { faults, text } = describe(random);
    return {
      action: { do: 'link', trunk, phases: [{ faults, ms }] },
      holds: [`link ${trunk}`],
      needs: [],
      text: `trunk ${trunk + 1}: ${text} for ${seconds(ms)}`,
    };
  },
});

const onAri = (
  weight: number,
  lasts: readonly [number, number],
  how: 'drop' | 'refuse' | 'stall',
  text: string,
): Recipe => ({
  weight,
  lasts,
  make({ nodes }, ms, random) {
    const node = random.integer(nodes);
    return {
      action: { do: 'ari', node, how },
      holds: [`ari ${node}`],
      needs: [`asterisk ${node}`],
      text: `ARI of node ${node + 1}: ${text}${how === 'drop' ? '' : ` for ${seconds(ms)}`}`,
    };
  },
});

/** Every kind of fault, with its weight and the range of its length. */
export const FAULTS = {
  'kill engine': {
    weight: 4,
    lasts: [300, 3_000],
    make({ engines }, ms, random) {
      const engine = random.pick(engines);
      return {
        action: { do: 'kill-engine', engine },
        holds: [`engine ${engine}`],
        needs: ['postgres'],
        text: `kill -9 of ${engine}, started again after ${seconds(ms)}`,
      };
    },
  },
  'kill Asterisk': {
    weight: 4,
    lasts: [500, 5_000],
    make({ nodes }, ms, random) {
      const node = random.integer(nodes);
      return {
        action: { do: 'kill-asterisk', node },
        holds: [`asterisk ${node}`],
        needs: [],
        text: `kill -9 of Asterisk ${node + 1}, started again after ${seconds(ms)}`,
      };
    },
  },
  'kill PostgreSQL': {
    weight: 3,
    lasts: [500, 3_000],
    make: (_, ms) => ({
      action: { do: 'kill-postgres' },
      holds: ['postgres'],
      needs: [],
      text: `kill -9 of PostgreSQL, started again after ${seconds(ms)}`,
    }),
  },
  'cut trunk': {
    weight: 4,
    lasts: [2_000, 8_000],
    make({ trunks }, ms, random) {
      const trunk = random.integer(trunks);
      const cutMs = Math.round(ms * 0.6);
      const faults = {
        loss: between(random, 5, 25),
        delayMs: between(random, 20, 120),
        jitterMs: between(random, 10, 80),
      };
      return {
        action: {
          do: 'link',
          trunk,
          phases: [
            { faults: { cut: true }, ms: cutMs },
            { faults, ms: ms - cutMs },
          ],
        },
        holds: [`link ${trunk}`],
        needs: [],
        text:
          `trunk ${trunk + 1}: cut for ${seconds(cutMs)}, then ${seconds(ms - cutMs)} with ${faults.loss} % loss ` +
          `and ${faults.delayMs} ms + ${faults.jitterMs} ms delay`,
      };
    },
  },
  'lossy trunk': onLink(3, [2_000, 8_000], (random) => {
    const loss = between(random, 5, 35);
    return { faults: { loss }, text: `${loss} % loss` };
  }),
  'slow trunk': onLink(3, [2_000, 8_000], (random) => {
    const delayMs = between(random, 50, 400);
    const jitterMs = between(random, 10, 150);
    return { faults: { delayMs, jitterMs }, text: `${delayMs} ms + ${jitterMs} ms delay` };
  }),
  'shuffled responses': onLink(3, [2_000, 8_000], (random) => {
    const duplicate = between(random, 20, 60);
    const reorder = between(random, 20, 60);
    return {
      faults: { duplicate, reorder },
      text: `${duplicate} % of responses twice, ${reorder} % out of order`,
    };
  }),
  'garbage responses': onLink(3, [2_000, 8_000], (random) => {
    const garbage = between(random, 30, 90);
    return { faults: { garbage }, text: `garbage beside ${garbage} % of messages` };
  }),
  '503 from carrier': onLink(3, [1_000, 5_000], () => ({
    faults: { refuse: { code: 503, phrase: 'Service Unavailable' } },
    text: '503 to every INVITE',
  })),
  'rate limit from carrier': onLink(3, [1_000, 4_000], (random) => {
    const refuse = random.chance(50)
      ? { code: 429, phrase: 'Too Many Requests', retryAfter: 1 }
      : { code: 503, phrase: 'CPS limit exceeded', retryAfter: 1 };
    return { faults: { refuse }, text: `${refuse.code} ${refuse.phrase} to every INVITE` };
  }),
  'ARI socket cut': onAri(3, [0, 0], 'drop', 'all connections broken off'),
  'ARI refused': onAri(2, [500, 4_000], 'refuse', 'connections refused'),
  'ARI stalled': onAri(2, [500, 9_000], 'stall', 'nothing passes'),
  'full disk': {
    weight: 2,
    lasts: [2_000, 7_000],
    make: ({ disk }, ms) =>
      disk
        ? {
            action: { do: 'fill-disk' },
            holds: ['disk'],
            needs: [],
            text: `disk of the prompts full for ${seconds(ms)}, while a new message is sent`,
          }
        : undefined,
  },
  'clock step': {
    weight: 2,
    lasts: [1_000, 10_000],
    make(_, ms, random) {
      const size = random.chance(50) ? between(random, 500, 10_000) : between(random, 60_000, 1_800_000);
      const byMs = random.chance(50) ? size : -size;
      return {
        action: { do: 'step-clock', byMs },
        holds: ['clock'],
        needs: [],
        text: `wall clock of the engine stepped by ${byMs > 0 ? '+' : ''}${seconds(byMs)}, back after ${seconds(ms)}`,
      };
    },
  },
} as const satisfies Record<string, Recipe>;

export type FaultKind = keyof typeof FAULTS;

export interface PlanOptions {
  /** A whole number but 0; the same one gives the same plan. */
  seed: number;
  count: number;
  parts: Parts;
  /** Mean time between the starts of two faults, in ms. */
  meanGapMs: number;
}

/** The schedule: every kind at least once where `count` allows, the rest by weight, in random order. */
export function planFaults({ seed, count, parts, meanGapMs }: PlanOptions): PlannedFault[] {
  const random = seeded(seed);
  // The first numbers of neighbouring seeds are alike.
  for (let skipped = 0; skipped < 20; skipped += 1) random.integer(2);
  const recipes = Object.entries(FAULTS) as [FaultKind, Recipe][];
  const possible = recipes.filter(([kind]) => kind !== 'full disk' || parts.disk);
  const bag = possible.flatMap(([kind, { weight }]) => Array.from({ length: weight }, () => kind));
  const kinds = random.shuffled(possible.map(([kind]) => kind)).slice(0, count);
  while (kinds.length < count) kinds.push(random.pick(bag));
  return random.shuffled(kinds).flatMap((kind, index) => {
    const recipe: Recipe = FAULTS[kind];
    const lastsMs = between(random, ...recipe.lasts);
    const made = recipe.make(parts, lastsMs, random);
    const gapMs = between(random, Math.round(meanGapMs / 4), Math.round(meanGapMs * 1.75));
    return made === undefined ? [] : [{ number: index + 1, kind, gapMs, lastsMs, ...made }];
  });
}
