import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fillTemplate, type MessageVariables, parseTemplate, type Template } from '../domain/template.ts';
import { RollcallError } from '../errors.ts';

/** Spoken where a household's own language has no text of a template; every template must have it. */
const FALLBACK = 'en';

/** The templates of a directory, checked. */
export interface Templates {
  /** Names of all templates, sorted. */
  names(): string[];
  /** Languages that template `name` is written in, sorted; empty for an unknown name. */
  languages(name: string): string[];
  has(name: string): boolean;
  /** True when the template speaks of `variable` in some language; false for an unknown name. */
  uses(name: string, variable: keyof MessageVariables): boolean;
  /**
   * The text to speak, and the language that it is in: English where the template lacks `language`.
   * Throws TEMPLATE_INVALID for an unknown template, and for variables that leave a hole in the text.
   */
  compose(name: string, language: string, variables: MessageVariables): { language: string; text: string };
}

/**
 * Loads `<directory>/<language>/<name>.txt`. Every file is checked, and one TEMPLATE_INVALID tells of all
 * that is wrong (`details.problems`, one sentence each).
 */
export async function loadTemplates(directory: string): Promise<Templates> {
  const byName = new Map<string, Map<string, Template>>();
  const problems: string[] = [];
  for (const where of await templateFiles(directory)) {
    const [, language, name] = /^([a-z]{2,3})\/([a-z][a-z0-9_-]*)\.txt$/.exec(where) ?? [];
    if (language === undefined || name === undefined) {
      problems.push(
        `${where}: is not named <language>/<template>.txt in small letters, as in en/attendance.txt`,
      );
      continue;
    }
    const source = await readText(join(directory, where));
    const parsed = source === null ? null : parseTemplate(source, where);
    if (parsed === null) problems.push(`${where}: cannot be read as UTF-8 text`);
    else if (!parsed.ok) problems.push(parsed.problem);
    else byName.set(name, (byName.get(name) ?? new Map()).set(language, parsed.template));
    if (!byName.has(name)) byName.set(name, new Map());
  }
  for (const [name, languages] of byName) {
    const broken = problems.some((problem) => problem.startsWith(`${FALLBACK}/${name}.txt:`));
    if (!languages.has(FALLBACK) && !broken) {
      problems.push(`${FALLBACK}/${name}.txt: is missing; it is spoken where other languages have no text`);
    }
  }
  if (byName.size === 0 && problems.length === 0) problems.push(`${directory}: holds no templates`);
  if (problems.length > 0) {
    throw new RollcallError('TEMPLATE_INVALID', `Correct these templates:\n  ${problems.join('\n  ')}`, {
      details: { problems },
    });
  }
  return templatesOf(byName);
}

function templatesOf(byName: ReadonlyMap<string, ReadonlyMap<string, Template>>): Templates {
  const names = () => [...byName.keys()].sort();
  return {
    names,
    languages: (name) => [...(byName.get(name)?.keys() ?? [])].sort(),
    has: (name) => byName.has(name),
    uses: (name, variable) =>
      [...(byName.get(name)?.values() ?? [])].some(({ sections }) =>
        sections.some(({ parts }) =>
          parts.some((part) => typeof part !== 'string' && part.variable === variable),
        ),
      ),
    compose(name, wanted, variables) {
      const languages = byName.get(name);
      const language = languages?.has(wanted) ? wanted : FALLBACK;
      const template = languages?.get(language);
      if (template === undefined) {
        throw new RollcallError(
          'TEMPLATE_INVALID',
          `There is no such template; known are ${names().join(', ')}`,
          {
            details: { template: name },
          },
        );
      }
      const filled = fillTemplate(template, language, variables);
      if (!filled.ok)
        throw new RollcallError('TEMPLATE_INVALID', filled.problem, { details: { template: name } });
      return { language, text: filled.text };
    },
  };
}

/** Paths `<folder>/<file>` under `directory`, sorted; files beside the folders are for people. */
async function templateFiles(directory: string): Promise<string[]> {
  try {
    const found: string[] = [];
    for (const folder of await readdir(directory, { withFileTypes: true })) {
      if (!folder.isDirectory()) continue;
      for (const file of await readdir(join(directory, folder.name))) found.push(`${folder.name}/${file}`);
    }
    return found.sort();
  } catch (cause) {
    throw new RollcallError('TEMPLATE_INVALID', `The templates in ${directory} cannot be read`, { cause });
  }
}

/** The file's text, or null if it is not UTF-8 or cannot be read. */
async function readText(file: string): Promise<string | null> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch {
    return null;
  }
}
