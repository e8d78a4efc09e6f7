import t from 'tap';
import { createNodes } from '../../engine/store/nodes.ts';
import { call, testApi } from '../support/api.ts';

const api = await testApi(t);
const nodes = createNodes(api.db);
const post = (path: string) => call(api, path, { method: 'POST', as: 'operator' });

t.test('a node that an engine was started with is drained and taken back', async (t) => {
  t.same(await nodes.draining(['asterisk-1', 'asterisk-2']), []);
  const { body } = await call(api, '/v1/nodes', { as: 'operator' });
  t.match(body.items, [
    { name: 'asterisk-1', state: 'active', calls: 0 },
    { name: 'asterisk-2', state: 'active', calls: 0 },
  ]);
  t.match(await post('/v1/nodes/asterisk-2/drain'), { status: 200, body: { state: 'draining' } });
  t.same(await nodes.draining(['asterisk-1', 'asterisk-2']), ['asterisk-2']);
  // An engine that starts in the meantime finds it so.
  t.same(await createNodes(api.db).draining(['asterisk-2']), ['asterisk-2']);
  t.match(await post('/v1/nodes/asterisk-2/resume'), { status: 200, body: { state: 'active' } });
  t.same(await nodes.draining(['asterisk-1', 'asterisk-2']), []);
});

t.test('a node that there is not', async (t) => {
  t.match(await post('/v1/nodes/nobody/drain'), { status: 404, body: { code: 'NOT_FOUND' } });
  t.equal((await post('/v1/nodes/a%20b/drain')).status, 400);
});
