import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { invitedIn, payloadOf } from '../engine/ari/sip-capture.ts';
import type { Context, Figure, Figures } from './figure.ts';
import { percentile, round } from './measure/stats.ts';
import { SHORT_TEXT } from './peak.ts';
import { people, prepared, runBroadcast } from './roster.ts';
import { startBench } from './stack.ts';

const RATES = [10, 40, 80];

/**
 * Beside figure 1: how far the news of an INVITE (Asterisk's copy, by which the engine counts it as sent) is from
 * the carrier's own time of it. The throttle's guard has to be as long as the news can be early.
 */
export const guard: Figure = { name: 'guard', title: 'News of an INVITE and its arrival', run };

async function run({ dir, quick, say }: Context): Promise<Figures> {
  const seconds = quick ? 15 : 60;
  const heard = new Map<string, number>();
  const relay = createSocket('udp4');
  const now = () => performance.timeOrigin + performance.now();
  const bench = await startBench({
    dir,
    // A relay in between notes the time; the engine gets each copy a moment later than it would.
    sipCaptureAddress: async (engine) => {
      const [host = '', port = ''] = engine.split(':');
      relay.bind(0, '127.0.0.1');
      await once(relay, 'listening');
      relay.on('message', (datagram) => {
        const at = now();
        relay.send(datagram, Number(port), host);
        const callId = invitedIn(payloadOf(datagram));
        if (callId !== undefined && !heard.has(callId)) heard.set(callId, at);
      });
      return `127.0.0.1:${relay.address().port}`;
    },
  });
  try {
    const rows: Figures['rows'] = [];
    const details: unknown[] = [];
    const notes: string[] = [
      "the carrier's time of an INVITE less the relay's time of its copy; above zero the news was early. The relay is a Node process as the engine is, so its own delays are in it, and SIPp's are in the carrier's",
    ];
    for (const rate of RATES) {
      const before = ((await bench.carrier?.calls()) ?? []).length;
      const id = await prepared(bench, people(rate * seconds), SHORT_TEXT);
      await bench.setCaps({ callsPerSecond: rate });
      say(`${rate} a second`);
      await runBroadcast(bench, id, seconds * 2_000 + 15_000);
      const seen = ((await bench.carrier?.calls()) ?? []).slice(before);
      const early = seen.flatMap(({ callId, inviteAt }) => {
        const at = heard.get(callId);
        return at === undefined ? [] : [inviteAt - at];
      });
      const at = (share: number) => round(percentile(early, share), 2);
      rows.push({ what: `${rate} a second, news early by at most (99.9 %)`, value: at(0.999), unit: 'ms' });
      notes.push(
        `${rate} a second, ${early.length} INVITEs: least ${at(0)}, 1 % ${at(0.01)}, median ${at(0.5)}, 99 % ${at(0.99)}, most ${at(1)} ms`,
      );
      details.push({ rate, early });
    }
    return { rows, notes, details };
  } finally {
    await bench.stop();
    relay.close();
  }
}
