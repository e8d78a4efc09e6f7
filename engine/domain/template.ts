import { cleanText, spokenDate, spokenList, spokenPhone } from './spoken.ts';

/**
 * Message templates: plain text with `{variable}`, and `[optional parts]` that are left out when a variable
 * in them is empty: "…on {date}.[ Questions? Call {callback}.] To confirm…".
 */

/** What a message can speak of. Names and free text may come from anywhere: filling makes them safe. */
export interface MessageVariables {
  district: string;
  /** Schools of the household's students, in the order to be read. */
  schools: readonly string[];
  /** First names, in the order to be read. */
  students: readonly string[];
  /** The school day that the message is about, 'YYYY-MM-DD'. */
  date: string;
  /** The number to call back, E.164. */
  callback: string | null;
  /** The text of a broadcast that has its own; '' otherwise. */
  message: string;
}

export const VARIABLE_NAMES = ['district', 'schools', 'students', 'date', 'callback', 'message'] as const;
type VariableName = (typeof VARIABLE_NAMES)[number];

/** The longest template, and the longest text that a broadcast brings, in characters. */
export const TEMPLATE_LIMIT = 4_000;
/** The longest text that is spoken, in characters: about five minutes, for which flite takes 5 to 15 s. */
export const SPOKEN_LIMIT = 5_000;
const NAME_LIMIT = 40;
const SCHOOL_LIMIT = 80;
const LIST_LIMIT = 12;

interface Section {
  optional: boolean;
  parts: (string | { variable: VariableName })[];
}

/** A template that was checked; opaque to others. */
export interface Template {
  readonly where: string;
  readonly sections: readonly Section[];
}

export type ParsedTemplate = { ok: true; template: Template } | { ok: false; problem: string };
export type FilledTemplate = { ok: true; text: string } | { ok: false; problem: string };

/**
 * Checks a template. `where` names it in a problem: a file, or a field of a request. The problem is one
 * sentence for people: which variable or brace is wrong, and what there is instead.
 */
export function parseTemplate(source: string, where: string): ParsedTemplate {
  const fail = (problem: string): ParsedTemplate => ({ ok: false, problem: `${where}: ${problem}` });
  if (source.trim() === '') return fail('is empty');
  if (source.length > TEMPLATE_LIMIT) {
    return fail(`has ${source.length} characters; at most ${TEMPLATE_LIMIT} are allowed`);
  }
  let section: Section = { optional: false, parts: [] };
  const sections = [section];
  const open = (optional: boolean) => {
    section = { optional, parts: [] };
    sections.push(section);
  };
  for (const [token, inner] of source.matchAll(/\{([^{}[\]]*)\}|[[\]{}]|[^[\]{}]+/g)) {
    if (inner !== undefined) {
      const variable = VARIABLE_NAMES.find((known) => known === inner.trim());
      if (variable === undefined) {
        return fail(`there is no variable {${inner}}; known are ${VARIABLE_NAMES.join(', ')}`);
      }
      section.parts.push({ variable });
    } else if (token === '{' || token === '}') {
      return fail(`a "${token}" has no partner`);
    } else if (token === '[') {
      if (section.optional) return fail('a "[" stands inside an optional part; they cannot be nested');
      open(true);
    } else if (token === ']') {
      if (!section.optional) return fail('a "]" has no partner');
      if (section.parts.every((part) => typeof part === 'string')) {
        return fail('an optional part [ ] has no variable, so it would always be spoken');
      }
      open(false);
    } else {
      section.parts.push(token);
    }
  }
  if (section.optional) return fail('a "[" has no partner');
  return { ok: true, template: { where, sections } };
}

/**
 * Fills a template: the text to be spoken, one line, safe for a synthesiser. A variable that is empty outside
 * of an optional part, a date that does not exist and a message that is too long are problems, so that no
 * parent hears a sentence with a hole in it.
 */
export function fillTemplate(
  template: Template,
  language: string,
  variables: MessageVariables,
): FilledTemplate {
  const fail = (problem: string): FilledTemplate => ({ ok: false, problem: `${template.where}: ${problem}` });
  if (variables.message.length > TEMPLATE_LIMIT) {
    return fail(
      `the message has ${variables.message.length} characters; at most ${TEMPLATE_LIMIT} are allowed`,
    );
  }
  const spoken = spokenVariables(language, variables);
  let text = '';
  for (const { optional, parts } of template.sections) {
    const empty = parts.find((part) => typeof part !== 'string' && spoken[part.variable] === '');
    if (empty === undefined) {
      text += parts.map((part) => (typeof part === 'string' ? part : spoken[part.variable])).join('');
    } else if (!optional && typeof empty !== 'string') {
      return fail(`needs {${empty.variable}}, which is empty or not valid here`);
    }
  }
  if (text.length > SPOKEN_LIMIT) return fail(`would be spoken for more than ${SPOKEN_LIMIT} characters`);
  return { ok: true, text: cleanText(text, language, SPOKEN_LIMIT).replace(/ +(?=[,.;:!?])/g, '') };
}

function spokenVariables(language: string, variables: MessageVariables): Record<VariableName, string> {
  const names = (list: readonly string[], limit: number) => {
    const spoken = list.map((name) => cleanText(name, language, limit)).filter((name) => name !== '');
    return spokenList(spoken.slice(0, LIST_LIMIT), language);
  };
  return {
    district: cleanText(variables.district, language, SCHOOL_LIMIT),
    schools: names(variables.schools, SCHOOL_LIMIT),
    students: names(variables.students, NAME_LIMIT),
    date: spokenDate(variables.date, language) ?? '',
    callback: variables.callback === null ? '' : spokenPhone(variables.callback),
    message: asSentence(cleanText(variables.message, language, TEMPLATE_LIMIT)),
  };
}

/** Ends free text with a full stop, or its last words would run into what the template says next. */
function asSentence(text: string): string {
  return text === '' || /[.!?。！？।؟]$/.test(text) ? text : `${text}.`;
}
