import t from 'tap';
import { requireVersion } from '../../engine/ari/version.ts';

t.test('Asterisk 22.10.1 and newer', async (t) => {
  for (const version of ['22.10.1', '22.10.1~dfsg+~cs6.15', '22.11.0', '23.0.0', 'certified/23.1-cert1'])
    t.doesNotThrow(() => requireVersion(version), version);
  for (const version of ['22.10.0', '22.9.3', '20.15.0', '18.1', 'certified/20.7-cert5', 'GIT-master', ''])
    t.throws(() => requireVersion(version), { code: 'ASTERISK_TOO_OLD', message: /22\.10\.1/ }, version);
});
