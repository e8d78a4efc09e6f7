import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSounds } from './audio.ts';
import { scenarioXml } from './scenario.ts';

/** Writes the scenario (`scenario.xml`) and its sounds into a directory, which is created when missing. */
export async function prepareCarrier(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await makeSounds(directory);
  await writeFile(join(directory, 'scenario.xml'), scenarioXml());
}

// For docker/carrier.Dockerfile: node prepare.ts DIRECTORY
if (import.meta.main) {
  const [directory] = process.argv.slice(2);
  if (directory === undefined) throw new Error('usage: node prepare.ts DIRECTORY');
  await prepareCarrier(directory);
}
