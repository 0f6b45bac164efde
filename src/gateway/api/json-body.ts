import { isUtf8 } from 'node:buffer';
import { badRequest, invalidJson } from './api-error.ts';
import { isObject } from './lax-reader.ts';

/** How much JSON one body may have, counted before it is parsed. */
export interface JsonLimits {
  /** How deep objects and lists may nest. */
  readonly depthMax: number;
  /** Keys of all objects, and items of lists that are not numbers. */
  readonly keysMax: number;
  /** Numbers in all lists. */
  readonly numbersMax: number;
}

/** What of a JSON text is above its limits. */
export type JsonExcess = {
  readonly of: 'depth' | 'keys' | 'numbers';
  /** Field of the outermost object in which it was found; null outside of one, and for a name that is not a plain one. */
  readonly field: string | null;
};

/**
 * The first limit that JSON text exceeds, without parsing it; null = none. A scan of the characters is cheap and needs no stack,
 * where a parser of deep text does, and 200,000 keys cost it 85 ms.
 */
export function jsonExcess(text: string, limits: JsonLimits): JsonExcess | null {
  const { depthMax, keysMax, numbersMax } = limits;
  // By depth: 1 for a list.
  const isList = new Uint8Array(depthMax + 1);
  let depth = 0;
  let keys = 0;
  let items = 0;
  let fieldEnd = -1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= DIGIT_0 && code <= DIGIT_9) continue;
    if (code === COMMA) {
      if (isList[depth] === 1 && ++items > numbersMax) return { of: 'numbers', field: fieldBefore(text, fieldEnd) };
      continue;
    }
    // A list's string, list, object or word.
    let isKey = isList[depth] === 1;
    if (code === QUOTE) {
      at = endOfString(text, at + 1);
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (++depth > depthMax) return { of: 'depth', field: fieldBefore(text, fieldEnd) };
      isList[depth] = code === OPEN_BRACKET ? 1 : 0;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--;
      continue;
    } else if (code === COLON) {
      isKey = true;
      if (depth === 1) fieldEnd = at;
    } else if (code !== LETTER_T && code !== LETTER_F && code !== LETTER_N) {
      continue;
    }
    if (isKey && ++keys > keysMax) return { of: 'keys', field: fieldBefore(text, fieldEnd) };
  }
  return null;
}

/** The key before the colon at `end`, if it is a plain name: anything else is not repeated in an error. */
function fieldBefore(text: string, end: number): string | null {
  return /"([a-z_]{1,64})"\s{0,16}$/.exec(text.slice(Math.max(0, end - 100), Math.max(0, end)))?.[1] ?? null;
}

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COMMA = 0x2c;
const COLON = 0x3a;
const LETTER_T = 0x74;
const LETTER_F = 0x66;
const LETTER_N = 0x6e;
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

/**
 * A body's text, decoded and within its limits. Nothing of the body is quoted in an error.
 * @throws ApiError 400 invalid_json: bytes that are not UTF-8, an empty body, text that is too deep; too_many_values: keys or items
 */
export function jsonText(body: Uint8Array | string, limits: JsonLimits): string {
  const text = typeof body === 'string' ? body : decoded(body);
  if (/^\s*$/.test(text)) throw invalidJson('the body is empty; allowed: a JSON object');
  requireWithin(text, limits, null);
  return text;
}

/**
 * The value of a body's text.
 * @throws ApiError 400 invalid_json: text that is no JSON, or a `__proto__` key, which no client means
 */
export function parseJsonText(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidJson(`the body is no JSON${place(error)}`);
  }
  if (text.includes('__proto__') && hasPrototypeKey(value)) throw invalidJson('the body has a key "__proto__"');
  return withExactSeed(value, text);
}

/** `jsonText` and `parseJsonText` at once: for small bodies, since each takes some 10 ms for a MiB. */
export function parseJsonBody(body: Uint8Array | string, limits: JsonLimits): unknown {
  return parseJsonText(jsonText(body, limits));
}

/** Counts as a body is counted. @param path the field that holds the text; null = the text is the whole body. @throws ApiError 400 */
export function requireWithin(text: string, limits: JsonLimits, path: string | null): void {
  const excess = jsonExcess(text, limits);
  if (excess === null) return;
  const param = path ?? excess.field;
  const place = param ?? 'the body';
  if (excess.of === 'depth') {
    throw path === null
      ? invalidJson(`the body nests deeper than ${limits.depthMax} levels`)
      : badRequest(param, `${place}: nests deeper than ${limits.depthMax} levels`, 'too_many_values');
  }
  const owner = path === null && param !== null ? 'the body up to here has' : 'has';
  const [what, max] =
    excess.of === 'keys'
      ? ['keys and list items other than numbers', limits.keysMax]
      : ['list items', limits.numbersMax];
  throw badRequest(param, `${place}: ${owner} too many ${what}; expected: at most ${max}`, 'too_many_values');
}

/** `TextDecoder` with `fatal` takes nine times as long for text that is not ASCII. */
function decoded(body: Uint8Array): string {
  if (!isUtf8(body)) throw invalidJson('the body is not valid UTF-8');
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8');
  return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
}

const BYTE_ORDER_MARK = 0xfeff;

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
    for (const child of Array.isArray(next) ? (next as unknown[]) : Object.values(next))
      if (typeof child === 'object' && child !== null) open.push(child);
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
