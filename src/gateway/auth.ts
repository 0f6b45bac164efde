import { createHash, timingSafeEqual } from 'node:crypto';
import type { ApiKeyConfig } from '../config/serve-config.ts';

/** Who asks. */
export type KeyEntry = ApiKeyConfig;

const BEARER = /^bearer +([^\s]+) *$/i;
const SHA256_HEX = /^[0-9a-f]{64}$/;

/**
 * The keys that the server takes, known by their SHA-256 alone. A key is compared with all of them in constant time: how long a
 * refusal takes says nothing about how near a guess was, nor at which entry it failed.
 */
export class KeyRing {
  private readonly entries: readonly KeyEntry[];
  private readonly digests: readonly Buffer[];

  /** Throws RangeError for a digest that is none, since such an entry could never match. */
  constructor(entries: readonly KeyEntry[]) {
    this.entries = [...entries];
    this.digests = entries.map((entry) => {
      if (!SHA256_HEX.test(entry.sha256Hex)) {
        throw new RangeError(`key ${entry.name}: allowed: SHA-256 as 64 lower-case hexadecimal digits`);
      }
      return Buffer.from(entry.sha256Hex, 'hex');
    });
  }

  /** Nobody needs a key. */
  get open(): boolean {
    return this.entries.length === 0;
  }

  get hasAdmin(): boolean {
    return this.entries.some((entry) => entry.admin);
  }

  /**
   * The entry of `Authorization: Bearer KEY`, else of `x-api-key: KEY`; null for none, a malformed header or an unknown key. An
   * `Authorization` that is there decides alone.
   */
  authenticate(authorizationHeader: string | undefined, xApiKey?: string): KeyEntry | null {
    const key = authorizationHeader === undefined ? xApiKey : BEARER.exec(authorizationHeader)?.[1];
    if (key === undefined || key === '') return null;
    const given = createHash('sha256').update(key, 'utf8').digest();
    let found = -1;
    for (let i = 0; i < this.digests.length; i++) {
      // The comparison runs for every entry, also after a match.
      const equal = timingSafeEqual(given, this.digests[i]!);
      found = equal ? i : found;
    }
    return found === -1 ? null : this.entries[found]!;
  }
}
