import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteTokenizer, type ChatTemplateOptions, printedCharacters } from '../../src/tokenizer/index.ts';

const tokenizer = new ByteTokenizer();
const message = fc.record(
  { role: fc.string(), content: fc.string(), name: fc.string(), tool_calls: fc.array(fc.jsonValue()) },
  { requiredKeys: ['role', 'content'] },
);
const list = fc.option(fc.array(fc.jsonValue()));
const options: fc.Arbitrary<ChatTemplateOptions> = fc.record({
  addGenerationPrompt: fc.boolean(),
  continueFinalMessage: fc.constant(false),
  tools: list,
  documents: list,
  templateVariables: fc.dictionary(fc.string(), fc.jsonValue()),
});

/** All keys and values of a JSON value, one behind the other. */
function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const parts = Array.isArray(value) ? value : Object.entries(value).flat();
  return (parts as unknown[]).map(textOf).join('');
}

describe('the characters that a template may print', () => {
  it('are never fewer than all keys and values have, nor than the built-in template prints', () => {
    fc.assert(
      fc.property(fc.array(message), options, (messages, given) => {
        const count = printedCharacters(messages, given, Number.POSITIVE_INFINITY);
        const { tools, documents, templateVariables } = given;
        expect(count).toBeGreaterThanOrEqual(textOf([messages, tools, documents, templateVariables]).length);
        expect(count).toBeGreaterThanOrEqual(
          tokenizer.chatPrompt(messages, { ...given, templateVariables: {} }).length,
        );
      }),
    );
  });

  it('are above a bound exactly if all of them are', () => {
    fc.assert(
      fc.property(fc.array(message), options, fc.nat(400), (messages, given, max) => {
        const all = printedCharacters(messages, given, Number.POSITIVE_INFINITY);
        expect(printedCharacters(messages, given, max) > max).toBe(all > max);
      }),
    );
  });
});
