import { createHash } from 'node:crypto';

const SALTS_MAX = 65_536;
/** The core keeps salts as 32-bit integers. */
const SALT_NUMBER_MAX = 2 ** 31 - 1;

/** Entries of a key at least, however many keys are configured. */
const SHARE_MIN = 256;

/**
 * Numbers for (tenant, cache_salt): two requests share cached prefixes only when theirs are equal. 0 = neither key nor salt. A
 * number never stands for two contents. Each key has a share of the table: when it is full the longest unused entry of that key is
 * forgotten, and gets a new number (and so an empty cache) when it comes again. No key can push out the entries of another.
 */
export class SaltTable {
  private readonly shares = new Map<string | null, Map<string, number>>();
  private readonly shareMax: number;
  private lastNumber = 0;

  /** `keys`: how many may ask; clients without a key count as one. */
  constructor(keys = 1, saltsMax: number = SALTS_MAX, shareMin: number = SHARE_MIN) {
    this.shareMax = Math.max(shareMin, Math.floor(saltsMax / Math.max(1, keys)));
  }

  get size(): number {
    let size = 0;
    for (const share of this.shares.values()) size += share.size;
    return size;
  }

  /** Throws RangeError when all 2^31 - 1 numbers have been given out: sharing one would let a tenant read another's cache. */
  intern(keyName: string | null, cacheSalt: string | null): number {
    if (keyName === null && cacheSalt === null) return 0;
    const share = this.shareOf(keyName);
    const content = contentKey(keyName, cacheSalt);
    let number = share.get(content);
    if (number === undefined) {
      if (this.lastNumber >= SALT_NUMBER_MAX) throw new RangeError('all numbers for cache salts are used up');
      number = ++this.lastNumber;
      if (share.size >= this.shareMax) share.delete(share.keys().next().value!);
    } else {
      // A Map keeps the order of insertion: the entry in use moves to the young end.
      share.delete(content);
    }
    share.set(content, number);
    return number;
  }

  private shareOf(keyName: string | null): Map<string, number> {
    let share = this.shares.get(keyName);
    if (share === undefined) {
      share = new Map();
      this.shares.set(keyName, share);
    }
    return share;
  }
}

/** Fixed size whatever clients send; the JSON text tells (a, b) from every other pair. */
function contentKey(keyName: string | null, cacheSalt: string | null): string {
  return createHash('sha256')
    .update(JSON.stringify([keyName, cacheSalt]))
    .digest('base64');
}
