import t from 'tap';
import { readConfig } from '../../engine/config.ts';

const GOOD = {
  DATABASE_URL: 'postgres://u:p@127.0.0.1/rollcall',
  ARI_URL: 'http://127.0.0.1:8088',
  ARI_USER: 'rollcall',
  ARI_PASSWORD: 'a-long-password',
  SOUNDS_DIR: '/var/lib/rollcall/sounds',
};

t.test('what is needed is enough, and an empty variable is not set', async (t) => {
  const config = readConfig({ ...GOOD, LOG_LEVEL: '', SIP_CAPTURE_LISTEN: '127.0.0.1:9060' });
  t.match(config, { logLevel: 'info', http: { port: 8080 }, sipCapture: { host: '127.0.0.1', port: 9060 } });
  t.same([...config.roles], ['api', 'jobs', 'dialer']);
});

t.test('every mistake at once, and no secret has a default', async (t) => {
  const bad = {
    ROLES: 'api,cook',
    HTTP_PORT: 'x',
    SOUNDS_DIR: 'sounds',
    ARI_PASSWORD: 'short',
    DATABASE_URL: 'mysql://x',
  };
  try {
    readConfig(bad);
    t.fail('it must throw');
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    t.equal(code, 'CONFIG_INVALID');
    for (const name of [
      'ROLES',
      'HTTP_PORT',
      'SOUNDS_DIR',
      'ARI_PASSWORD',
      'DATABASE_URL',
      'ARI_URL',
      'ARI_USER',
    ])
      t.match(message, new RegExp(`${name}:`), name);
    t.notMatch(message, /short/, 'and no value of a secret');
  }
});
