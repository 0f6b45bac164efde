import type { Static, TSchema } from 'typebox';
import { type ApiError, badRequest, shown } from './api-error.ts';

/** The part of JSON schema that request schemas here are made of, plus `x-private`: such a value never gets into a message. */
interface Node {
  readonly type?: string;
  readonly anyOf?: readonly Node[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Node>>;
  /** true: what has no schema is kept as it is; else it is left out. */
  readonly additionalProperties?: unknown;
  readonly 'x-private'?: boolean;
  /** A string is no number here. */
  readonly 'x-no-text'?: boolean;
}

/**
 * Reads `value` by `schema` with the lax conversions of pydantic 2, which vLLM's clients rely on: "5" and true are integers,
 * "0.5" a number, "yes" and 1 booleans; strings stay strict. Unlike pydantic, no number may be infinite or NaN, and no
 * integer may be one that a double cannot hold (+-2^53) unless the schema's bounds say so.
 * @param path of the value in the body, for the error
 * @throws ApiError 400 that names path, value and what is allowed
 */
export function readLax<T extends TSchema>(schema: T, value: unknown, path: string): Static<T> {
  return read(schema as Node, value, path) as Static<T>;
}

/** Lax as pydantic's `int`; null when `value` is none. */
export function laxInteger(value: unknown): number | null {
  if (typeof value === 'number') return Number.isInteger(value) ? value + 0 : null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value !== 'string' || !/^\s*[+-]?\d+(_\d+)*(\.0+)?\s*$/.test(value)) return null;
  return Number(value.replaceAll('_', '')) + 0;
}

/** Lax as pydantic's `float`, finite ones only; null when `value` is none. */
export function laxNumber(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value !== 'string') return null;
  if (!/^\s*[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+)?\s*$/i.test(value)) return null;
  const number = Number(value.replaceAll('_', ''));
  return Number.isFinite(number) ? number : null;
}

const TRUE_WORDS: ReadonlySet<string> = new Set(['true', '1', 'yes', 'on', 'y', 't']);
const FALSE_WORDS: ReadonlySet<string> = new Set(['false', '0', 'no', 'off', 'n', 'f']);

/** Lax as pydantic's `bool`; null when `value` is none. */
export function laxBoolean(value: unknown): boolean | null {
  if (typeof value === 'boolean') return value;
  if (value === 1 || value === 0) return value === 1;
  if (typeof value !== 'string') return null;
  const word = value.toLowerCase();
  return TRUE_WORDS.has(word) ? true : FALSE_WORDS.has(word) ? false : null;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a value is, without what it says: for private ones. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === 'object' ? 'an object' : typeof value === 'boolean' ? 'a boolean' : `a ${typeof value}`;
}

/** 400: the value at `path` is not what `allowed` says; `isPrivate` keeps the value out of the message. */
export function notAllowed(path: string, value: unknown, allowed: string, isPrivate = false): ApiError {
  const got = isPrivate ? kindOf(value) : shown(value);
  return badRequest(path, `${path}: got ${got}; allowed: ${allowed}`, 'invalid_value');
}

/** 400: a required field is not there. */
export function missing(path: string, allowed: string): ApiError {
  return badRequest(path, `${path}: missing; allowed: ${allowed}`, 'missing_required_parameter');
}

function read(node: Node, value: unknown, path: string): unknown {
  if (node.anyOf !== undefined) return readUnion(node, node.anyOf, value, path);
  if (node.const !== undefined) {
    if (value === node.const) return value;
    throw refused(node, value, path);
  }
  switch (node.type) {
    case 'integer':
      return readInteger(node, value, path);
    case 'number':
      return within(node, laxNumber(value), value, path);
    case 'boolean': {
      const boolean = laxBoolean(value);
      if (boolean === null) throw refused(node, value, path);
      return boolean;
    }
    case 'string':
      return readString(node, value, path);
    case 'array':
      return readArray(node, value, path);
    case 'object':
      return readObject(node, value, path);
    case 'null':
      if (value !== null) throw refused(node, value, path);
      return null;
    default:
      return value;
  }
}

function readInteger(node: Node, value: unknown, path: string): number {
  const integer = node['x-no-text'] === true && typeof value === 'string' ? null : laxInteger(value);
  const bounded = node.minimum !== undefined && node.maximum !== undefined;
  if (integer === null || (!bounded && !Number.isSafeInteger(integer))) throw refused(node, value, path);
  return within(node, integer, value, path);
}

function within(node: Node, number: number | null, value: unknown, path: string): number {
  const fits = number !== null && number >= (node.minimum ?? -Infinity) && number <= (node.maximum ?? Infinity);
  if (!fits) throw refused(node, value, path);
  return number;
}

function readString(node: Node, value: unknown, path: string): string {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = node;
  if (typeof value !== 'string' || value.length < minLength || value.length > maxLength)
    throw refused(node, value, path);
  assertWellFormed(value, path);
  return value;
}

/** Half a surrogate pair is no text: no tokenizer, template or UTF-8 writer knows what to do with it. */
export function assertWellFormed(text: string, path: string): void {
  if (!/\p{Surrogate}/u.test(text)) return;
  throw badRequest(path, `${path}: has half of a surrogate pair; allowed: well-formed Unicode`, 'invalid_value');
}

function readArray(node: Node, value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw refused(node, value, path);
  const items = node.items ?? {};
  // The path of an item costs more than a look at it.
  return value.map((item: unknown, index) => (isPlain(items, item) ? item : read(items, item, `${path}.${index}`)));
}

function readObject(node: Node, value: unknown, path: string): unknown {
  if (!isObject(value)) throw refused(node, value, path);
  const values = node.patternProperties === undefined ? undefined : Object.values(node.patternProperties)[0];
  if (values !== undefined) {
    // fromEntries makes own properties of all keys, `__proto__` included.
    return Object.fromEntries(
      Object.keys(value).map((key) => {
        const field = value[key];
        return [key, isPlain(values, field) ? field : read(values, field, `${path}.${shownKey(key)}`)] as const;
      }),
    );
  }
  // A spread makes own properties, too.
  const result: Record<string, unknown> = node.additionalProperties === true ? { ...value } : {};
  for (const [name, field] of Object.entries(node.properties ?? {})) {
    if (Object.hasOwn(value, name)) result[name] = read(field, value[name], `${path}.${name}`);
    else if (node.required?.includes(name)) throw missing(`${path}.${name}`, allowedWords(field));
  }
  return result;
}

/** Whether `read` gives a number back as it is. */
function isPlain(node: Node, value: unknown): boolean {
  if (typeof value !== 'number' || (node.type !== 'integer' && node.type !== 'number')) return false;
  if (node.type === 'integer' ? !Number.isSafeInteger(value) : !Number.isFinite(value)) return false;
  return value >= (node.minimum ?? -Infinity) && value <= (node.maximum ?? Infinity) && !Object.is(value, -0);
}

function shownKey(key: string): string {
  return key.replace(/[^\x21-\x7e]/g, '?').slice(0, 40);
}

function readUnion(node: Node, variants: readonly Node[], value: unknown, path: string): unknown {
  if (value === null && variants.some((variant) => variant.type === 'null')) return null;
  const others = variants.filter((variant) => variant.type !== 'null');
  const exact = others.filter((variant) => looksLike(variant, value));
  // One candidate left: its own error says more than the union's.
  const only = exact.length === 1 ? exact[0] : others.length === 1 ? others[0] : undefined;
  if (only !== undefined) return read(node['x-private'] ? { ...only, 'x-private': true } : only, value, path);
  for (const variant of exact.length > 0 ? exact : others) {
    const result = attempt(variant, value, path);
    if (result !== undefined) return result;
  }
  throw refused(node, value, path);
}

function attempt(node: Node, value: unknown, path: string): unknown {
  try {
    return read(node, value, path);
  } catch {
    return undefined;
  }
}

function looksLike(node: Node, value: unknown): boolean {
  if (node.const !== undefined) return node.const === value;
  if (node.type === 'array') return Array.isArray(value);
  if (node.type === 'object') return isObject(value);
  return node.type === typeof value || (node.type === 'integer' && typeof value === 'number');
}

function refused(node: Node, value: unknown, path: string): ApiError {
  return notAllowed(path, value, allowedWords(node), node['x-private'] === true);
}

/** What a schema takes, in words. */
export function allowedWords(schema: TSchema): string {
  return words(schema as Node);
}

function words(node: Node): string {
  if (node.anyOf !== undefined) return [...new Set(node.anyOf.map(words))].join(' or ');
  if (node.const !== undefined) return JSON.stringify(node.const);
  switch (node.type) {
    case 'integer':
      return `an integer${range(node)}`;
    case 'number':
      return `a finite number${range(node)}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      if (node.maxLength !== undefined) return `a string of ${node.minLength ?? 0} to ${node.maxLength} characters`;
      return (node.minLength ?? 0) > 0 ? 'a non-empty string' : 'a string';
    case 'array':
      return `a list of ${node.items === undefined ? 'values' : `(${words(node.items)})`}`;
    case 'object':
      return 'an object';
    default:
      return node.type ?? 'any value';
  }
}

function range(node: Node): string {
  if (node.minimum !== undefined && node.maximum !== undefined) return ` in [${node.minimum}, ${node.maximum}]`;
  if (node.minimum !== undefined) return ` of at least ${node.minimum}`;
  return node.maximum === undefined ? '' : ` of at most ${node.maximum}`;
}
