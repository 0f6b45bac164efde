import type { AttributeValue, SpanAttributes } from './span.ts';

/** Those that have a value: conventions want an attribute left out where its value is not known. */
export function attributesOf(values: Readonly<Record<string, AttributeValue | null | undefined>>): SpanAttributes {
  const kept: Record<string, AttributeValue> = {};
  for (const name of Object.keys(values)) {
    const value = values[name];
    if (value !== null && value !== undefined) kept[name] = value;
  }
  return kept;
}
