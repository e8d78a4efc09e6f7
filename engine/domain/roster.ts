import { z } from 'zod';
import { parsePhone } from './phone.ts';
import { ABSENCE_CODES } from './terms.ts';

/** The files that a student information system exports. */
export const IMPORT_KINDS = ['students', 'contacts', 'attendance'] as const;
export type ImportKind = (typeof IMPORT_KINDS)[number];

/** A student whose home language is left empty is called in this one. */
const DEFAULT_LANGUAGE = 'en';

// Control characters, line and paragraph separators, and the marks that turn the direction of text around
// (they make a report show something else than what is there).
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];
const languageNames = new Intl.DisplayNames(['en'], { type: 'language', fallback: 'none' });
/** ISO 639-1, as far as ICU has a name for it. */
const LANGUAGES = new Set(
  LETTERS.flatMap((first) => LETTERS.map((second) => first + second)).filter(
    (code) => languageNames.of(code) !== undefined,
  ),
);

const text = (max: number) =>
  z
    .string()
    .trim()
    .min(1, 'is empty')
    .max(max, `is longer than ${max} characters`)
    .refine((value) => !UNPRINTABLE.test(value), 'has control characters or line breaks');

/** An empty cell is null; anything else must satisfy `schema`. */
const blankOr = <S extends z.ZodType<unknown, string>>(schema: S) =>
  z
    .string()
    .transform((value) => (value.trim() === '' ? null : value))
    .pipe(schema.nullable());

const language = blankOr(
  z
    .string()
    .trim()
    .toLowerCase()
    .refine((code) => LANGUAGES.has(code), 'is not a language code of two letters, such as en or es'),
);

const phone = (country: string) =>
  blankOr(
    // Not trimmed: a line break in a number is never a matter of taste.
    z.string().transform((input, context) => {
      const parsed = parsePhone(input, country);
      if (parsed.ok) return parsed.e164;
      context.addIssue({ code: 'custom', message: parsed.reason });
      return z.NEVER;
    }),
  );

const email = blankOr(
  z.string().trim().max(254, 'is longer than 254 characters').pipe(z.email('is not an e-mail address')),
);

const word = <const W extends readonly [string, ...string[]]>(words: W) =>
  z
    .string()
    .trim()
    .toLowerCase()
    .pipe(z.enum(words, `must be one of ${words.join(', ')}`));

const studentSchema = (country: string) =>
  z.object({
    student_id: text(64),
    school_code: text(32),
    first_name: text(80),
    last_name: text(80),
    grade: blankOr(text(16)).transform((value) => value ?? ''),
    language: language.transform((value) => value ?? DEFAULT_LANGUAGE),
    primary_phone: phone(country),
    secondary_phone: phone(country),
  });

const contactSchema = (country: string) =>
  z.object({
    student_id: text(64),
    contact: word(['main', 'secondary']),
    first_name: blankOr(text(80)),
    last_name: blankOr(text(80)),
    // null: the student's
    language,
    home_phone: phone(country),
    mobile_phone: phone(country),
    work_phone: phone(country),
    email,
  });

const absenceSchema = () =>
  z.object({
    student_id: text(64),
    // PostgreSQL has no year 0, and a date far away is a slip of the keyboard.
    date: z
      .string()
      .trim()
      .pipe(z.iso.date('is not a date such as 2026-09-30'))
      .refine((date) => date.startsWith('20'), 'is not in this century'),
    period: text(16).transform((value) => (value.toLowerCase() === 'all' ? 'all' : value)),
    code: word(ABSENCE_CODES),
  });

const SCHEMAS = { students: studentSchema, contacts: contactSchema, attendance: absenceSchema };

export type StudentRow = z.infer<ReturnType<typeof studentSchema>>;
export type ContactRow = z.infer<ReturnType<typeof contactSchema>>;
export type AbsenceRow = z.infer<ReturnType<typeof absenceSchema>>;

/** A row of each kind of file, checked; its fields have the names of the file's columns. */
export interface RosterRows {
  students: StudentRow;
  contacts: ContactRow;
  attendance: AbsenceRow;
}

/** The columns that a file of each kind has, all of them, in any order. */
export const COLUMNS = {
  students: Object.keys(studentSchema('US').shape),
  contacts: Object.keys(contactSchema('US').shape),
  attendance: Object.keys(absenceSchema().shape),
} as const satisfies Record<ImportKind, string[]>;

export interface CellProblem {
  column: string;
  /** Completes "the cell …". Never has the cell's own text, which may be a name or a phone. */
  reason: string;
}

/** `row` is undefined when the row cannot be taken. */
export interface CheckedRow<K extends ImportKind> {
  row: RosterRows[K] | undefined;
  problems: CellProblem[];
}

/**
 * Makes the check for rows of `kind`; national phone numbers are read as those of `country`.
 *
 * A cell that may be empty (phones, e-mail, language, grade, a contact's name) and is bad is reported and
 * taken as empty: one wrong digit in a work phone must not keep a child out of an emergency call. A bad cell
 * that says who or what the row is about (ids, school, the student's name, contact, date, period, code)
 * refuses the row.
 */
export function rowCheck<K extends ImportKind>(
  kind: K,
  country: string,
): (cells: Record<string, string>) => CheckedRow<K> {
  const schema = SCHEMAS[kind](country) as unknown as z.ZodType<RosterRows[K]>;
  return (cells) => {
    const checked = schema.safeParse(cells);
    if (checked.success) return { row: checked.data, problems: [] };
    const reasons = new Map<string, string>();
    for (const { path, message } of checked.error.issues) {
      const column = String(path[0]);
      if (!reasons.has(column)) reasons.set(column, message);
    }
    const blanked = { ...cells };
    for (const column of reasons.keys()) blanked[column] = '';
    const row = schema.safeParse(blanked).data;
    const suffix = row === undefined ? '' : '; the rest of the row was taken';
    const problems = [...reasons].map(([column, reason]) => ({ column, reason: reason + suffix }));
    return { row, problems };
  };
}
