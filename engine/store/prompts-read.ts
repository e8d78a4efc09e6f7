import { maybeOne, type Queryable } from './db.ts';

export interface Prompt {
  /** SHA-256 over voice, language and text, in hex. */
  hash: string;
  language: string;
  text: string;
  state: 'queued' | 'rendered' | 'failed';
  /** null until it is rendered. */
  durationMs: number | null;
  error: string | null;
}

const GET = `
  select hash, language, text, state, duration_ms as "durationMs", error from prompts where hash = $1`;

/** The prompt, or undefined. */
export async function getPrompt(db: Queryable, hash: string): Promise<Prompt | undefined> {
  return maybeOne<Prompt>(db, GET, [hash]);
}
