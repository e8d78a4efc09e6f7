import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { RollcallError } from '../errors.ts';

/** Readable for Asterisk, which runs as another user; set explicitly, since a umask may forbid it. */
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;

/** The absolute path of a prompt as Asterisk's `sound:` wants it, without extension. */
export function soundPath(directory: string, hash: string): string {
  if (!/^[0-9a-f]{64}$/.test(hash))
    throw new RollcallError('INTERNAL', 'A prompt hash is 64 hexadecimal digits');
  return join(resolve(directory), hash.slice(0, 2), hash);
}

/** Bytes of a file that was written before, or 0. */
export async function audioSize(file: string): Promise<number> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  return found?.isFile() ? found.size : 0;
}

/**
 * Writes `bytes` so that `file` is there completely or not at all, also after a power cut: to a temporary
 * file beside it, flushed, then renamed. Nothing stays behind after a failure.
 */
export async function writeAtomically(directory: string, file: string, bytes: Buffer): Promise<void> {
  const folder = dirname(file);
  for (const path of [directory, folder]) {
    if ((await mkdir(path, { recursive: true })) !== undefined) await chmod(path, FOLDER_MODE);
  }
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await using handle = await open(temporary, 'wx', FILE_MODE);
    await handle.writeFile(bytes);
    await handle.chmod(FILE_MODE);
    await handle.sync();
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await using handle = await open(folder, 'r');
  await handle.sync(); // the rename itself
}
