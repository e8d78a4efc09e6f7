import { behaviourOf, behaviours, person } from '../sim/carrier/behaviours.ts';
import type { Random } from './random.ts';

/**
 * Area codes of Colorado; with the exchange 555 nobody's number (fiction has 555-01xx; the rest of 555 is
 * services that were never opened, except for 555-1212, directory assistance). Lines 0000 to 0199 are left
 * to the district's own numbers.
 */
const AREAS = ['303', '720', '970', '719', '983'];
const BLOCKS = Array.from({ length: 100 }, (_, block) => String(block).padStart(2, '0')).filter(
  (block) => !['00', '01', '12'].includes(block),
);
const ENDINGS = Array.from({ length: 100 }, (_, ending) => String(ending).padStart(2, '0'));

export interface Phones {
  /** A phone that the simulated carrier treats as `behaviour` says; no phone is given out twice. */
  next(behaviour: string): string;
}

/** Gives out distinct phones, written as a school's secretary would: `303-555-4217`. */
export function phones(random: Random): Phones {
  const prefixes = random.shuffled(AREAS.flatMap((area) => BLOCKS.map((block) => ({ area, block }))));
  const people = random.shuffled(ENDINGS.filter((ending) => behaviourOf(ending) === person));
  const used = new Map<string, number>();
  return {
    next: (behaviour) => {
      const count = used.get(behaviour) ?? 0;
      used.set(behaviour, count + 1);
      const digits = behaviour === person.name ? people : digitsOf(behaviour);
      const ending = digits[count % digits.length];
      const prefix = prefixes[Math.floor(count / digits.length) % prefixes.length];
      if (prefix === undefined || count >= digits.length * prefixes.length)
        throw new Error(`no phone is left for ${behaviour}`);
      return `${prefix.area}-555-${prefix.block}${ending}`;
    },
  };
}

function digitsOf(behaviour: string): readonly string[] {
  const found = behaviours.find(({ name }) => name === behaviour);
  if (found === undefined) throw new Error(`the simulated carrier has no behaviour ${behaviour}`);
  return found.digits;
}
