import { CONFIG_VARIABLES } from '../engine/config.ts';

/** What the engine must know of the parts around it. */
export interface EngineParts {
  databaseUrl: string;
  soundsDir: string;
  ariUrl?: string;
  ariUser?: string;
  ariPassword?: string;
  /** Where Asterisk sends copies of SIP messages: the value that startAsterisk gets. */
  sipCaptureAddress?: string;
}

/**
 * The engine's variables, and no others: those of its parts, and those of `further` that are not empty, which
 * go first.
 */
export function engineVariables(
  parts: EngineParts,
  further: Record<string, string | undefined> = {},
): Record<string, string> {
  const ofParts: Record<string, string | undefined> = {
    DATABASE_URL: parts.databaseUrl,
    SOUNDS_DIR: parts.soundsDir,
    ARI_URL: parts.ariUrl,
    ARI_USER: parts.ariUser,
    ARI_PASSWORD: parts.ariPassword,
    SIP_CAPTURE_LISTEN: parts.sipCaptureAddress,
  };
  const variables: Record<string, string> = {};
  for (const name of CONFIG_VARIABLES) {
    const value = further[name] || ofParts[name];
    if (value) variables[name] = value;
  }
  return variables;
}
