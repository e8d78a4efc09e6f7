/** Asterisk's call files: one file per call, moved into its spool. What becomes of a call only the carrier knows. */
import { randomUUID } from 'node:crypto';
import { chown, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endpointOf, LIMIT_SECONDS, RING_SECONDS, readTarget, serveDriver } from './child.ts';

const { spoolDir, owner, sound } = readTarget();
const drafts = join(spoolDir, 'drafts');
const outgoing = join(spoolDir, 'outgoing');
await mkdir(drafts, { recursive: true });

serveDriver(async (number) => {
  const name = randomUUID();
  const lines = [
    `Channel: ${endpointOf(number)}`,
    'Application: Playback',
    `Data: ${sound}`,
    `WaitTime: ${RING_SECONDS}`,
    `Setvar: TIMEOUT(absolute)=${LIMIT_SECONDS}`,
  ];
  const draft = join(drafts, name);
  await writeFile(draft, `${lines.join('\n')}\n`);
  // Asterisk changes the file's times before it deletes it, which its owner alone may.
  if (owner !== undefined) await chown(draft, owner.uid, owner.gid);
  await rename(draft, join(outgoing, name));
  return true;
});
