import { type Database, maybeOne, type Queryable, rows } from './db.ts';
import { wakeDialer } from './notify.ts';

/** An Asterisk node, as operations see it. */
export interface AsteriskNode {
  name: string;
  /** `draining`: no new call; live ones go on. */
  state: 'active' | 'draining';
  /** Attempts that are not ended. */
  calls: number;
  createdAt: Date;
}

const ADD = `
  insert into asterisk_nodes (name) select unnest($1::text[]) on conflict (name) do nothing`;

const DRAINING = `select name from asterisk_nodes where state = 'draining' and name = any ($1)`;

const COLUMNS = `
  name, state, created_at as "createdAt",
  (select count(*) from attempts where attempts.node = asterisk_nodes.name and attempts.state <> 'ended') as calls`;

const LIST = `select ${COLUMNS} from asterisk_nodes order by name`;

const SET_STATE = `update asterisk_nodes set state = $2 where name = $1 returning ${COLUMNS}`;

/** Every node that an engine ever had, by name. */
export async function listNodes(db: Queryable): Promise<AsteriskNode[]> {
  return rows<AsteriskNode>(db, LIST);
}

/** Drains a node or takes it back into service, and wakes the dialer; undefined when there is none. */
export async function setNodeState(
  db: Queryable,
  name: string,
  state: AsteriskNode['state'],
): Promise<AsteriskNode | undefined> {
  const node = await maybeOne<AsteriskNode>(db, SET_STATE, [name, state]);
  if (node !== undefined) await wakeDialer(db);
  return node;
}

/** The dialer's view: see interfaces.ts of the dialer. */
export function createNodes(db: Database) {
  const known = new Set<string>();
  return {
    async draining(names: string[]): Promise<string[]> {
      const fresh = names.filter((name) => !known.has(name));
      if (fresh.length > 0) await db.query(ADD, [fresh]);
      for (const name of fresh) known.add(name);
      return (await rows<{ name: string }>(db, DRAINING, [names])).map(({ name }) => name);
    },
  };
}
