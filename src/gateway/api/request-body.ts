import type { Static, TObject } from 'typebox';
import { badRequest } from './api-error.ts';
import { allowedWords, isObject, kindOf, missing, readLax } from './lax-reader.ts';

/** A body's fields, read by their schemas; fields that are absent stay absent. */
export interface ReadBody<T> {
  readonly fields: T;
  /** Names that the schema does not have, at most `UNKNOWN_NAMES_MAX` of them, cut to printable ASCII. */
  readonly unknownFields: readonly string[];
}

const UNKNOWN_NAMES_MAX = 16;
const UNKNOWN_NAME_CHARACTERS_MAX = 64;

/**
 * Reads the known fields of a body.
 * @param byHand fields that the caller reads itself
 * @throws ApiError 400 naming the first field at fault
 */
export function readBody<T extends TObject>(schema: T, body: unknown, byHand: readonly string[]): ReadBody<Static<T>> {
  const object = bodyObject(body);
  const fields: Record<string, unknown> = {};
  const unknownFields: string[] = [];
  for (const name of Object.keys(object)) {
    if (!Object.hasOwn(schema.properties, name)) {
      if (unknownFields.length < UNKNOWN_NAMES_MAX) unknownFields.push(printableName(name));
    } else if (!byHand.includes(name)) {
      fields[name] = readLax(schema.properties[name]!, object[name], name);
    }
  }
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(object, name)) throw missing(name, allowedWords(schema.properties[name]!));
  }
  return { fields: fields as Static<T>, unknownFields };
}

/** The body as an object. @throws ApiError 400 */
export function bodyObject(body: unknown): Readonly<Record<string, unknown>> {
  if (isObject(body)) return body;
  throw badRequest(null, `the body: got ${kindOf(body)}; allowed: a JSON object`, 'invalid_body');
}

function printableName(name: string): string {
  return name.slice(0, UNKNOWN_NAME_CHARACTERS_MAX).replace(/[^\x20-\x7e]/g, '?');
}
