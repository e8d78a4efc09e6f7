/** What Asterisk's console and events say of trunks and queues, as 22.10.1 prints it. */
import t from 'tap';
import { backlogOf, contactOf, contactsOf, registrationsOf } from '../../engine/ami/facts.ts';

t.test('contacts, with names and addresses of any length', async (t) => {
  const long = 'a'.repeat(64);
  const found = contactsOf([
    '  Contact:  <Aor/ContactUri..............................> <Hash....> <Status> <RTT(ms)..>',
    '==========================================================================================',
    '',
    `  Contact:  ${long}/sip:${'x'.repeat(80)}.example:39565 e3e3c34fc3 NonQual        -nan`,
    '  Contact:  north/sip:127.0.0.1:54964;transport=tcp      57f4b26d48 Avail         1.148',
    '  Contact:  gone/sip:127.0.0.1:40723                     9bbd81364e Unavail        -nan',
    '',
    'Objects found: 3',
  ]);
  t.same(
    [...found],
    [
      [long, { reachable: null, roundTripMs: null }],
      ['north', { reachable: true, roundTripMs: 1.148 }],
      ['gone', { reachable: false, roundTripMs: null }],
    ],
  );
  t.equal(contactsOf(['No objects found.', '']).size, 0);
});

t.test('events of contacts', async (t) => {
  const event = { event: 'ContactStatus', aor: 'north', contactstatus: 'Reachable', roundtripusec: '1148' };
  t.same(contactOf(event), ['north', { reachable: true, roundTripMs: 1.148 }]);
  for (const [contactstatus, reachable] of [
    ['Unreachable', false],
    ['NonQualified', null],
    ['Created', null],
  ] as const)
    t.same(contactOf({ ...event, contactstatus }), ['north', { reachable, roundTripMs: null }]);
  t.equal(contactOf({ ...event, contactstatus: 'Removed' }), undefined);
});

t.test('registrations', async (t) => {
  const found = registrationsOf([
    ' <Registration/ServerURI..............................>  <Auth....................>  <Status.......>',
    ' a-b_1/sip:127.0.0.1:55441                               a-b_1             Registered        (exp. 289s)',
    ' mid/sip:127.0.0.1:42161                                 mid               Unregistered      (exp. 0s)',
    ' wrong/sip:127.0.0.1:55441                               wrong             Rejected          (exp. 29s)',
    ' over/sip:127.0.0.1:55441                                over              Stopped           (exp. 29s)',
    'Objects found: 4',
  ]);
  t.same(
    [...found],
    [
      ['a-b_1', 'registered'],
      ['mid', 'unregistered'],
      ['wrong', 'rejected'],
      ['over', 'unknown'],
    ],
  );
});

t.test('the longest queue of those that calls wait in, as it is now', async (t) => {
  const table = [
    'Processor                              Processed   In Queue  Max Depth  Low water High water',
    'ast_msg_queue                                  0        900          0        450        500',
    'pjsip/distributor-00000028                    15          3         80        450        500',
    'stasis/p:channel:all-00000012                 15         41         80        450        500',
  ];
  t.equal(backlogOf(table), 41);
  t.equal(backlogOf(table.slice(0, 2)), null);
});
