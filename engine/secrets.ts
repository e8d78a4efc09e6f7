import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { RollcallError } from './errors.ts';

/**
 * Secrets at rest: AES-256-GCM. A box is a version byte, 12 bytes of nonce, the ciphertext and 16 bytes of tag.
 * Its owner's name goes into the tag, so that a box that is copied to another row does not open there.
 */
export interface Secrets {
  /** Throws SECRET_KEY_MISSING where SECRET_KEY is not set. */
  seal(secret: string, owner: string): Buffer;
  /** Throws SECRET_KEY_MISSING, and SECRET_UNREADABLE when key or owner are not those that sealed it. */
  open(box: Uint8Array, owner: string): string;
}

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';

/** `key` is 32 bytes; undefined where no secret is kept. */
export function createSecrets(key: Uint8Array | undefined): Secrets {
  const required = () => {
    if (key !== undefined) return key;
    throw new RollcallError(
      'SECRET_KEY_MISSING',
      'there is no key to keep a secret with: set SECRET_KEY, as .env.example explains, and start the engine again',
    );
  };
  return {
    seal(secret, owner) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, required(), nonce).setAAD(Buffer.from(owner));
      const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return Buffer.concat([Buffer.of(VERSION), nonce, sealed, cipher.getAuthTag()]);
    },
    open(box, owner) {
      const used = required();
      const bytes = Buffer.from(box);
      try {
        if (bytes[0] !== VERSION) throw new Error(`a box of version ${bytes[0]}`);
        const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
        const tag = bytes.subarray(-TAG_BYTES);
        const decipher = createDecipheriv(CIPHER, used, nonce, { authTagLength: TAG_BYTES })
          .setAAD(Buffer.from(owner))
          .setAuthTag(tag);
        const sealed = bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES);
        return Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8');
      } catch (cause) {
        throw new RollcallError(
          'SECRET_UNREADABLE',
          'a stored secret does not open: SECRET_KEY is not the one it was kept with. Bring that key back, or set the secret again',
          { cause },
        );
      }
    },
  };
}
