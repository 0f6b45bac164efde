import type { RequestNames } from '../request-names.ts';

/** Names of requests by the engine's numbers. */
export type AnswerNames = Pick<RequestNames, 'answerOf'>;

/**
 * What the engine says of itself, as an answer: keys in the style of the API, and beside each number of a request the name by
 * which its client knows it.
 */
export function debugBody(value: unknown, names: AnswerNames): unknown {
  if (Array.isArray(value)) return value.map((each) => debugBody(each, names));
  if (value === null || typeof value !== 'object') return value;
  const body: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (key === 'request' && typeof field === 'number') body['request_id'] = names.answerOf(field);
    body[snakeCase(key)] = debugBody(field, names);
  }
  return body;
}

/** A text in which the engine wrote `request 17`, with the names that clients know. */
export function withNames(text: string, names: AnswerNames): string {
  return text.replace(/\brequest (\d+)/g, (all, number: string) => names.answerOf(Number(number)) ?? all);
}

function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
