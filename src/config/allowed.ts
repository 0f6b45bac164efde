import type { z } from 'zod';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/**
 * What a field takes, in words: the same text for YAML errors and for command line flags, read from the JSON schema so that
 * it cannot differ from what is checked. `value` is the document, which tells the variants of a union apart.
 */
export function allowedAt(schema: JsonSchema, value: unknown, path: readonly PropertyKey[]): string {
  return allowedBy(schemaAt(schema, value, path), valueAt(value, path));
}

/** The part of the schema that rules `path`. */
export function schemaAt(schema: JsonSchema, value: unknown, path: readonly PropertyKey[]): JsonSchema {
  let node = schema;
  let data = value;
  for (const key of path) {
    const object = variantOf(node, data);
    const next = typeof key === 'number' ? object.items : object.properties?.[String(key)];
    if (next === undefined || typeof next === 'boolean') return unionOf(node, key) ?? object;
    if (Array.isArray(next)) return object;
    node = next as JsonSchema;
    data = childOf(data, key);
  }
  return node;
}

/** What one schema takes, in words. */
export function allowedBy(node: JsonSchema, value?: unknown): string {
  const stated = (node as { allowed?: unknown }).allowed;
  if (typeof stated === 'string') return stated;
  const variants = variantsOf(node);
  if (variants !== null) {
    const variant = variantOf(node, value);
    if (variant !== node) return allowedBy(variant, value);
    const objects = variants.filter((each) => each.type === 'object');
    const others = variants.filter((each) => each.type !== 'object').map((each) => allowedBy(each));
    return [...new Set([...others, ...(objects.length === 0 ? [] : [objectsWords(objects)])])].join(', or ');
  }
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum !== undefined) return node.enum.map((each) => String(each)).join(', ');
  if (node.type === 'integer' || node.type === 'number') return numberWords(node);
  if (node.type === 'boolean') return 'true or false';
  if (node.type === 'string') return 'text';
  if (node.type === 'array')
    return `a list of ${node.items === undefined ? 'values' : allowedBy(node.items as JsonSchema)}`;
  const keys = Object.keys(node.properties ?? {});
  return keys.length === 0 ? 'a mapping' : `a mapping with the keys ${keys.join(', ')}`;
}

function objectsWords(variants: readonly JsonSchema[]): string {
  const key = tagKeys(variants)[0];
  if (variants.length === 1 || key === undefined) return variants.map((each) => allowedBy(each)).join(', or ');
  const tags = variants.flatMap((variant) => tagsOf(variant.properties?.[key]));
  return `a mapping with ${key}: ${tags.join(', ')}`;
}

function numberWords(node: JsonSchema): string {
  const kind = node.type === 'integer' ? 'an integer' : 'a number';
  const low = bound(node.exclusiveMinimum, node.minimum, '(', '[');
  const high = bound(node.exclusiveMaximum, node.maximum, ')', ']');
  if (low === null && high === null) return kind;
  if (high === null) return `${kind} ${low!.bracket === '(' ? 'above' : 'of at least'} ${low!.value}`;
  return `${kind} in ${low?.bracket ?? '('}${low?.value ?? '-Infinity'}, ${high.value}${high.bracket}`;
}

/** zod writes the safe integer range for every integer: that is no news to the reader. */
function bound(exclusive: number | boolean | undefined, inclusive: number | undefined, open: string, closed: string) {
  if (typeof exclusive === 'number') return { value: exclusive, bracket: open };
  if (inclusive === undefined || Math.abs(inclusive) === Number.MAX_SAFE_INTEGER) return null;
  return { value: inclusive, bracket: closed };
}

/** The variant of a union whose tags the value carries; the only object variant; else the node itself. */
function variantOf(node: JsonSchema, value: unknown): JsonSchema {
  const variants = variantsOf(node);
  if (variants === null) return node;
  if (Array.isArray(value)) return variants.find((variant) => variant.type === 'array') ?? node;
  if (!isRecord(value)) return node;
  const objects = variants.filter((variant) => variant.type === 'object');
  if (objects.length === 1) return objects[0]!;
  const keys = tagKeys(objects);
  const tagged = objects.find((variant) => keys.some((key) => tagsOf(variant.properties?.[key]).includes(value[key])));
  return tagged ?? node;
}

/** A discriminator that names no variant: what all variants take at that key. */
function unionOf(node: JsonSchema, key: PropertyKey): JsonSchema | null {
  const tags = (variantsOf(node) ?? []).flatMap((variant) => tagsOf(variant.properties?.[String(key)]));
  return tags.length === 0 ? null : { enum: tags as string[] };
}

/** Unions of unions are taken as one. */
function variantsOf(node: JsonSchema): JsonSchema[] | null {
  const variants = (node.oneOf ?? node.anyOf) as JsonSchema[] | undefined;
  return variants?.flatMap((variant) => variantsOf(variant) ?? [variant]) ?? null;
}

/** Keys that every variant has with a constant or a list of constants: what tells them apart. */
function tagKeys(variants: readonly JsonSchema[]): string[] {
  return Object.keys(variants[0]?.properties ?? {}).filter((key) =>
    variants.every((variant) => tagsOf(variant.properties?.[key]).length > 0),
  );
}

function tagsOf(node: unknown): unknown[] {
  if (!isRecord(node)) return [];
  if (node['const'] !== undefined) return [node['const']];
  return Array.isArray(node['enum']) ? node['enum'] : [];
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(childOf, value);
}

function childOf(value: unknown, key: PropertyKey): unknown {
  if (Array.isArray(value)) return value[Number(String(key))];
  return isRecord(value) ? value[String(key)] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
