import { execFile } from 'node:child_process';
import { appendFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MEBIBYTES = 4;

/** A small disk of its own for the prompts, which can be filled to the brim. */
export interface SmallDisk {
  fill(): Promise<void>;
  empty(): Promise<void>;
  unmount(): Promise<void>;
}

/** Mounts a tmpfs at `directory`; undefined where that is not allowed. */
export async function mountSmallDisk(directory: string): Promise<SmallDisk | undefined> {
  await mkdir(directory, { recursive: true });
  const unmount = () => run('umount', ['-l', directory]);
  // One that a killed run left behind.
  await unmount().catch(() => undefined);
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${MEBIBYTES}m,mode=755`, 'rollcall-chaos', directory]);
  } catch {
    return undefined;
  }
  const ballast = join(directory, 'ballast');
  return {
    async fill() {
      const block = Buffer.alloc(64 * 1024);
      for (;;) {
        try {
          await appendFile(ballast, block);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
          throw error;
        }
      }
    },
    empty: () => rm(ballast, { force: true }),
    unmount: async () => void (await unmount()),
  };
}
