import { invalidJson } from './api-error.ts';
import { isObject } from './lax-reader.ts';

/**
 * How deep objects and lists nest in JSON text, without parsing it; counting ends at `max + 1`. A scan of the bytes is cheap
 * and needs no stack, which a parser of deep text would.
 */
export function jsonDepth(text: string, max: number): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at + 1);
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth++;
      if (depth > deepest) deepest = depth;
      if (deepest > max) return deepest;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--;
    }
  }
  return deepest;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** Index of the quote that ends a string, or the text's length. */
function endOfString(text: string, from: number): number {
  let end = text.indexOf('"', from);
  while (end >= 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end < 0 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
  return slashes % 2 === 1;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/**
 * A body's JSON. Nothing of the body is quoted in an error.
 * @param depthMax how deep objects and lists may nest
 * @throws ApiError 400 invalid_json: bytes that are no UTF-8, text that is no JSON, too deep, or a `__proto__` key, which no
 *   client means
 */
export function parseJsonBody(body: Uint8Array | string, depthMax: number): unknown {
  const text = typeof body === 'string' ? body : decoded(body);
  if (/^\s*$/.test(text)) throw invalidJson('the body is empty; allowed: a JSON object');
  if (jsonDepth(text, depthMax) > depthMax) throw invalidJson(`the body nests deeper than ${depthMax} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidJson(`the body is no JSON${place(error)}`);
  }
  if (text.includes('__proto__') && hasPrototypeKey(value)) throw invalidJson('the body has a key "__proto__"');
  return withExactSeed(value, text);
}

function decoded(body: Uint8Array): string {
  try {
    return UTF8.decode(body);
  } catch {
    throw invalidJson('the body is not valid UTF-8');
  }
}

/** Where JSON.parse stumbled; the rest of its message quotes the body. */
function place(error: unknown): string {
  const at = /position (\d+)/.exec(error instanceof Error ? error.message : '');
  return at === null ? '' : ` (at character ${at[1]})`;
}

/** By hand, not by recursion: depth is bounded, but by a number that somebody configures. */
function hasPrototypeKey(value: unknown): boolean {
  const open = [value];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    if (Object.hasOwn(next, '__proto__')) return true;
    for (const child of Object.values(next)) if (typeof child === 'object' && child !== null) open.push(child);
  }
  return false;
}

const INT64_END = 2 ** 63;
/** The largest double below 2^63. */
const SEED_MAX = 2 ** 63 - 1024;

/**
 * The last 512 integers below 2^63 are valid 64-bit seeds, but as doubles they are 2^63, which is none: the text decides.
 */
function withExactSeed(value: unknown, text: string): unknown {
  if (!isObject(value) || value['seed'] !== INT64_END) return value;
  const digits = [...text.matchAll(/(?<!\\)"seed"\s*:\s*(\d{19})(?=[\s,}])/g)].at(-1)?.[1];
  if (digits === undefined || BigInt(digits) >= 2n ** 63n) return value;
  return { ...value, seed: SEED_MAX };
}
