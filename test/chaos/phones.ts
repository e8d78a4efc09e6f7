import type { Random } from '../sample/random.ts';
import { behaviours } from '../sim/carrier/behaviours.ts';

/** How many of 1,000 phones behave in which way; the rest are people who answer. */
const SHARES: Readonly<Record<string, number>> = {
  'late-answer': 25,
  busy: 45,
  'no-answer': 20,
  voicemail: 50,
  'bad-number': 20,
  blocked: 5,
  declined: 10,
  overloaded: 5,
  unavailable: 10,
  'early-hang-up': 20,
  'hang-up-at-once': 10,
  'press-1': 20,
  'press-2': 5,
  silent: 10,
  'early-media': 10,
  'bye-before-ack': 15,
  'answer-after-cancel': 8,
  'rate-limited': 5,
  garbled: 15,
};
/** 555 numbers of Colorado: none belongs to anybody. */
const AREAS = ['303', '720', '970', '719'];

/** Hands out numbers, each only once, so that every INVITE belongs to one broadcast. */
export function createPhoneBook(random: Random): (count: number, who?: 'all' | 'people') => string[] {
  const used = new Map<string, number>();
  const withEnding = (lastDigits: string): string => {
    const index = used.get(lastDigits) ?? 0;
    used.set(lastDigits, index + 1);
    const area = AREAS[Math.floor(index / 100)];
    if (area === undefined) throw new Error(`no more numbers that end with ${lastDigits}: use fewer calls`);
    return `+1${area}555${String(index % 100).padStart(2, '0')}${lastDigits}`;
  };
  return (count, who = 'all') => {
    const endings: string[] = [];
    for (const [name, share] of who === 'all' ? Object.entries(SHARES) : []) {
      const digits = behaviours.find((behaviour) => behaviour.name === name)?.digits;
      if (digits === undefined) throw new Error(`the carrier has no behaviour ${name}`);
      // Each at least once, so that a short run meets all.
      const wanted = Math.min(Math.max(1, Math.round((count * share) / 1000)), count - endings.length);
      for (let left = wanted; left > 0; left -= 1) endings.push(random.pick(digits));
    }
    for (let index = 0; endings.length < count; index += 1) endings.push(String(index % 70).padStart(2, '0'));
    return random.shuffled(endings).map(withEnding);
  };
}
