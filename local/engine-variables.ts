import { CONFIG_VARIABLES } from '../engine/config.ts';

/** What the engine must know of the parts around it. */
export interface EngineParts {
  databaseUrl: string;
  soundsDir: string;
  /** Of several nodes: separated by commas, as are the two below. */
  ariUrl?: string;
  nodeName?: string;
  /** `host:port` */
  amiAddress?: string;
  ariUser?: string;
  ariPassword?: string;
  amiUser?: string;
  amiPassword?: string;
  /** 32 bytes as base64: the key of the trunks' secrets. */
  secretKey?: string;
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
    NODE_NAME: parts.nodeName,
    ARI_USER: parts.ariUser,
    ARI_PASSWORD: parts.ariPassword,
    AMI_ADDRESS: parts.amiAddress,
    AMI_USER: parts.amiUser,
    AMI_PASSWORD: parts.amiPassword,
    SECRET_KEY: parts.secretKey,
    SIP_CAPTURE_LISTEN: parts.sipCaptureAddress,
  };
  const variables: Record<string, string> = {};
  for (const name of CONFIG_VARIABLES) {
    const value = further[name] || ofParts[name];
    if (value) variables[name] = value;
  }
  return variables;
}
