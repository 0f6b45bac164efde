import { createHash } from 'node:crypto';

const SALTS_MAX = 65_536;
/** The core keeps salts as 32-bit integers. */
const SALT_NUMBER_MAX = 2 ** 31 - 1;

/**
 * Numbers for (tenant, cache_salt): two requests share cached prefixes only when theirs are equal. 0 = neither key nor salt. A
 * number never stands for two contents; when the table is full the longest unused entry is forgotten, and gets a new number
 * (and so an empty cache) when it comes again.
 */
export class SaltTable {
  private readonly numbers = new Map<string, number>();
  private readonly saltsMax: number;
  private lastNumber = 0;

  constructor(saltsMax: number = SALTS_MAX) {
    this.saltsMax = saltsMax;
  }

  get size(): number {
    return this.numbers.size;
  }

  /** Throws RangeError when all 2^31 - 1 numbers have been given out: sharing one would let a tenant read another's cache. */
  intern(keyName: string | null, cacheSalt: string | null): number {
    if (keyName === null && cacheSalt === null) return 0;
    const content = contentKey(keyName, cacheSalt);
    let number = this.numbers.get(content);
    if (number === undefined) {
      if (this.lastNumber >= SALT_NUMBER_MAX) throw new RangeError('all numbers for cache salts are used up');
      number = ++this.lastNumber;
      if (this.numbers.size >= this.saltsMax) {
        for (const oldest of this.numbers.keys()) {
          this.numbers.delete(oldest);
          break;
        }
      }
    } else {
      // A Map keeps the order of insertion: the entry in use moves to the young end.
      this.numbers.delete(content);
    }
    this.numbers.set(content, number);
    return number;
  }
}

/** Fixed size whatever clients send; the JSON text tells (a, b) from every other pair. */
function contentKey(keyName: string | null, cacheSalt: string | null): string {
  return createHash('sha256')
    .update(JSON.stringify([keyName, cacheSalt]))
    .digest('base64');
}
