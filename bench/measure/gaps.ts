import type { Arrival, GapReport } from './rtp.ts';
import { percentile } from './stats.ts';

const SEQUENCES = 0x1_0000;

/** Gaps and losses of one stream; its packets in the order of their arrival. */
export function gapsOf(arrivals: readonly Arrival[]): { gaps: number[]; lost: number } {
  const gaps: number[] = [];
  let missing = 0;
  let previous: Arrival | undefined;
  let highest: number | undefined;
  for (const arrival of arrivals) {
    if (previous !== undefined) gaps.push(arrival.atMs - previous.atMs);
    if (highest === undefined) highest = arrival.sequence;
    else {
      // Modulo 2^16: a step of more than half of it is one backwards.
      const step = (arrival.sequence - highest + SEQUENCES) % SEQUENCES;
      if (step === 0) continue;
      if (step < SEQUENCES / 2) {
        missing += step - 1;
        highest = arrival.sequence;
      } else missing -= 1; // late, and counted as missing before
    }
    previous = arrival;
  }
  return { gaps, lost: Math.max(0, missing) };
}

/** All streams of at least `minPackets`; shorter ones are stray keep-alives. */
export function reportGaps(arrivals: readonly Arrival[], minPackets = 10): GapReport {
  const streams = Map.groupBy(arrivals, ({ ssrc }) => ssrc);
  const gaps: number[] = [];
  let lost = 0;
  let counted = 0;
  let packets = 0;
  for (const stream of streams.values()) {
    if (stream.length < minPackets) continue;
    const found = gapsOf(stream);
    for (const gap of found.gaps) gaps.push(gap);
    lost += found.lost;
    counted += 1;
    packets += stream.length;
  }
  return {
    streams: counted,
    packets,
    lost,
    p50: percentile(gaps, 0.5),
    p99: percentile(gaps, 0.99),
    p999: percentile(gaps, 0.999),
    max: percentile(gaps, 1),
  };
}
