/** Numbers that look random and are the same on every run. */
export interface Random {
  /** A whole number from 0 to `below` - 1. */
  integer(below: number): number;
  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean;
  pick<T>(from: readonly T[]): T;
  shuffled<T>(list: readonly T[]): T[];
}

/** xorshift32 (Marsaglia 2003): enough for samples, and not tied to a Node version. */
export function seeded(seed: number): Random {
  let state = seed | 0;
  const integer = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  return {
    integer,
    chance: (percent) => integer(100) < percent,
    pick: (from) => {
      const picked = from[integer(from.length)];
      if (picked === undefined) throw new Error('nothing to pick from');
      return picked;
    },
    shuffled: (list) => {
      const result = [...list];
      for (let index = result.length - 1; index > 0; index--) {
        const other = integer(index + 1);
        [result[index], result[other]] = [result[other], result[index]] as [
          (typeof result)[number],
          (typeof result)[number],
        ];
      }
      return result;
    },
  };
}
