import t from 'tap';
import { isRateLimit } from '../../engine/domain/rate-limit.ts';

const answer = (sipCode: number | null, phrase: string | null = null, retryAfter: number | null = null) =>
  isRateLimit({ sipCode, phrase, retryAfter });

t.test('the code, or Retry-After with 503, says it', async (t) => {
  t.ok(answer(429));
  t.ok(answer(429, 'Provide Referrer Identity'));
  t.ok(answer(503, 'Service Unavailable', 5));
  t.ok(answer(503, null, 0));
  t.notOk(answer(503, 'Service Unavailable'));
  t.notOk(answer(480, 'Temporarily Unavailable', 60));
  t.notOk(answer(null, 'Rate limit', 5));
});

t.test('words that say it', async (t) => {
  const phrases = [
    'CPS limit exceeded',
    'Trunk CPS limit exceeded',
    'SYSTEM_CPS System Limit Exceeded',
    'Calls per second exceeded',
    'Exceeded calls-per-second limit',
    'Rate limit',
    'Rate Limited',
    'Ratelimit reached',
    'Too many calls',
    'Too Many INVITEs',
    'Call rate exceeded',
    'Exceeded call rate',
    'Request throttled',
    'Maximum Calls In Progress',
    'Q.850;cause=42;text="CPS limit exceeded"',
  ];
  for (const phrase of phrases)
    for (const code of [403, 480, 500, 503, 603]) t.ok(answer(code, phrase), `${code} ${phrase}`);
});

t.test('words that say something else, and codes that are of the parent', async (t) => {
  for (const phrase of [
    'Service Unavailable',
    'Decline',
    'No route for rate centre',
    'Corporate limit',
    'Q.850;cause=21;text="v=analytics1;url=x"',
    'Normal temporary failure',
    '',
  ])
    t.notOk(answer(503, phrase), phrase);
  for (const code of [404, 486, 487, 600, 200]) t.notOk(answer(code, 'Too many calls'), String(code));
});
