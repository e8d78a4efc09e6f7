import { Writable } from 'node:stream';
import t from 'tap';
import { RollcallError } from '../../engine/errors.ts';
import { createLog, maskPhone } from '../../engine/log.ts';

function capture(): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { lines, log: createLog('info', stream) };
}

t.test('numbers keep their last four digits, names and secrets nothing', async (t) => {
  const { lines, log } = capture();
  log.info(
    { to: maskPhone('+13035550142'), phone: '+13035550142', student: { first_name: 'Ana' }, password: 'x' },
    'fact',
  );
  const line = JSON.parse(lines[0] ?? '');
  t.match(line, { level: 'info', to: '…0142', phone: '[redacted]', password: '[redacted]' });
  t.equal(line.student.first_name, '[redacted]');
  t.equal(maskPhone(null), '(none)');
});

t.test('what is thrown or emitted and is no Error still says what it was', async (t) => {
  const { lines, log } = capture();
  // As pg-boss emits a worker's error.
  log.warn({
    err: { code: '57P01', message: 'terminating connection', name: 'Ana', detail: '+13035550142' },
  });
  log.warn({ err: 'just words' });
  log.warn({ err: null });
  log.error({ err: new RollcallError('INTERNAL', 'wrapped', { cause: 42 }) });
  const [like, words, nothing, wrapped] = lines.map((line) => JSON.parse(line).err);
  t.same(like, { type: 'Object', code: '57P01', message: 'terminating connection' });
  t.same([words, nothing], ['just words', 'null']);
  t.equal(wrapped.cause, '42');
});

t.test('an error has its code and causes, and not the row that PostgreSQL repeats', async (t) => {
  const { lines, log } = capture();
  const cause = Object.assign(new Error('duplicate key'), {
    code: '23505',
    detail: 'Key (phone)=(+13035550142)',
  });
  log.error({ err: new RollcallError('CONFLICT', 'there is one already', { cause }) }, 'failed');
  t.notMatch(lines[0], /3035550142/);
  t.match(JSON.parse(lines[0] ?? ''), {
    err: { code: 'CONFLICT', cause: { code: '23505', message: 'duplicate key' } },
  });
});
