/** A box opens for its key and its owner only, and shows nothing of what is in it. */
import t from 'tap';
import { createSecrets } from '../../engine/secrets.ts';

const KEY = Buffer.alloc(32, 1);
const SECRET = 'pass;word "ü"';
const { seal, open } = createSecrets(KEY);

t.test('What was sealed opens again, and no two boxes are the same', async (t) => {
  const box = seal(SECRET, 'north');
  t.equal(open(box, 'north'), SECRET);
  t.equal(box.length, 1 + 12 + Buffer.byteLength(SECRET) + 16);
  t.equal(box[0], 1, 'the version');
  t.notOk(box.includes(SECRET));
  t.notSame(seal(SECRET, 'north'), box);
});

t.test('Another key, owner, version, or a changed byte: it does not open, and says what to do', async (t) => {
  const box = seal(SECRET, 'north');
  const changed = (at: number) => box.map((byte, index) => (index === at ? byte ^ 1 : byte));
  const attempts: [string, () => string][] = [
    ['key', () => createSecrets(Buffer.alloc(32, 2)).open(box, 'north')],
    ['owner', () => open(box, 'south')],
    ['version', () => open(changed(0), 'north')],
    ['nonce', () => open(changed(5), 'north')],
    ['text', () => open(changed(14), 'north')],
    ['tag', () => open(changed(box.length - 1), 'north')],
    ['short', () => open(box.subarray(0, 20), 'north')],
    ['empty', () => open(Buffer.alloc(0), 'north')],
  ];
  for (const [what, attempt] of attempts)
    t.throws(attempt, { code: 'SECRET_UNREADABLE', message: /set the secret again/ }, what);
});

t.test('Without a key nothing is sealed or opened', async (t) => {
  const without = createSecrets(undefined);
  t.throws(() => without.seal(SECRET, 'north'), { code: 'SECRET_KEY_MISSING', message: /SECRET_KEY/ });
  t.throws(() => without.open(seal(SECRET, 'north'), 'north'), { code: 'SECRET_KEY_MISSING' });
});
