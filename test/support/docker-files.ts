import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize, resolve } from 'node:path';

/** The repository, which is the build context of all images. */
export const root = resolve(import.meta.dirname, '../..');

export const read = (path: string): string => readFileSync(join(root, path), 'utf8');

export interface Instruction {
  name: string;
  rest: string;
}

/** The instructions of a Dockerfile, continued lines joined, by stage; each stage begins with its FROM. */
export function stagesOf(path: string): Instruction[][] {
  const lines = read(path)
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, ' ')
    .split('\n');
  const stages: Instruction[][] = [];
  for (const line of lines) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
    if (name === undefined || rest === undefined) continue;
    if (name === 'FROM') stages.push([]);
    stages.at(-1)?.push({ name, rest });
  }
  return stages;
}

/** What the instructions COPY from the build context, not from other stages. */
export function copiedFromContext(instructions: Instruction[]): string[] {
  return instructions.flatMap(({ name, rest }) => {
    if (name !== 'COPY' || rest.includes('--from=')) return [];
    const words = rest.split(/\s+/).filter((word) => !word.startsWith('--'));
    return words.slice(0, -1);
  });
}

/**
 * True if a .dockerignore keeps `path` out of the build context. As Docker does: the last line that matches
 * the path, or a folder above it, decides. Knows `*` within one name, which is all that ours uses.
 */
export function isIgnored(path: string, dockerignore: string): boolean {
  const folders = path.split('/').map((_, index, names) => names.slice(0, index + 1).join('/'));
  let ignored = false;
  for (const line of dockerignore.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const pattern = line.replace(/^!/, '');
    const expression = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*');
    if (folders.some((folder) => new RegExp(`^${expression}$`).test(folder))) ignored = !line.startsWith('!');
  }
  return ignored;
}

export interface Closure {
  /** Paths in the repository. */
  files: Set<string>;
  /** Names of npm packages, without the paths inside them. */
  packages: Set<string>;
}

/** Everything that a module loads at run time, whatever folder it lies in. Types are not loaded. */
export function importsOf(entry: string): Closure {
  const closure: Closure = { files: new Set(), packages: new Set() };
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (closure.files.has(file)) continue;
    closure.files.add(file);
    if (!file.endsWith('.ts')) continue;
    const source = read(file).replace(/^(import|export) type .*?;$/gms, '');
    for (const [, name = ''] of source.matchAll(/(?:\bfrom|\bimport\(|^import)\s*'([@.a-z][^'\s]*)'/gm)) {
      if (name.startsWith('.')) waiting.push(normalize(join(dirname(file), name)));
      else if (!name.startsWith('node:')) closure.packages.add(packageOf(name));
    }
  }
  return closure;
}

const packageOf = (name: string): string =>
  name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');

/** True if the repository has the path and anybody may run it. */
export function isExecutable(path: string): boolean {
  return existsSync(join(root, path)) && (statSync(join(root, path)).mode & 0o111) === 0o111;
}

export interface Interpolation {
  name: string;
  /** `:-` with a default, `:?` with an explanation of what is missing, or neither. */
  operator: ':-' | ':?' | '';
  text: string;
}

/** Every `${NAME}` of a compose file or a shell script. */
export function interpolationsOf(source: string): Interpolation[] {
  return [...source.matchAll(/\$\{([A-Z][A-Z0-9_]*)(?:(:-|:\?)([^}]*))?\}/g)].map(
    ([, name = '', operator = '', text = '']) => ({
      name,
      operator: operator as Interpolation['operator'],
      text,
    }),
  );
}
