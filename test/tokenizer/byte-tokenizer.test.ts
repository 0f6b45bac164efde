import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteTokenizer, ChatTemplateError, IncrementalDecoder, ReadableText } from '../../src/tokenizer/index.ts';

const tokenizer = new ByteTokenizer();
const CHAT = {
  addGenerationPrompt: true,
  continueFinalMessage: false,
  tools: null,
  documents: null,
  templateVariables: {},
};

describe('the built-in tokenizer', () => {
  it('gives any text back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text), true)).toBe(text);
      }),
    );
  });

  it('decodes token by token to what it decodes at once, whatever the ids', () => {
    const ids = fc.array(fc.integer({ min: 0, max: tokenizer.vocabularySize - 1 }), { maxLength: 60 });
    fc.assert(
      fc.property(ids, fc.boolean(), (all, skip) => {
        const decoder = new IncrementalDecoder(tokenizer, skip);
        const pieces = all.map((id) => decoder.push(id));
        expect(pieces.join('') + decoder.flush()).toBe(tokenizer.decode(all, skip));
      }),
      { numRuns: 500 },
    );
  });

  it('says that it is between characters only when it is', () => {
    const decoder = new IncrementalDecoder(tokenizer, true);
    const seen = [...new TextEncoder().encode('aé語😀')].map((byte) => {
      decoder.push(byte);
      return decoder.between;
    });
    expect(seen).toEqual([true, false, true, false, false, true, false, false, false, true]);
  });

  it('makes a prompt of messages, with special tokens as single ids', () => {
    const text = tokenizer.chatPrompt([{ role: 'user', content: 'hi' }], CHAT);
    expect(text).toBe('<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n');
    expect(tokenizer.encode(text).filter((id) => tokenizer.isSpecial(id)).length).toBe(3);
  });

  it('leaves the final message open to be continued', () => {
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'I am' },
    ];
    const text = tokenizer.chatPrompt(messages, { ...CHAT, addGenerationPrompt: false, continueFinalMessage: true });
    expect(text.endsWith('assistant\nI am')).toBe(true);
    expect(() => tokenizer.chatPrompt([], { ...CHAT, continueFinalMessage: true })).toThrow(ChatTemplateError);
  });

  it('knows nothing of ids that it does not have', () => {
    expect(tokenizer.pieceText(99_999)).toBe('');
    expect(tokenizer.jsonPiece(99_999)).toBe('');
    expect(tokenizer.decode([99_999, 104], false)).toBe('h');
  });
});

describe('the text that simulated answers are made of', () => {
  it('reads well from any sentence on, round and round', () => {
    const { ids, sentenceStarts } = new ReadableText(tokenizer);
    for (const start of sentenceStarts) {
      const text = tokenizer.decode(ids.subarray(start, start + 40), false);
      expect(text).toMatch(/^ [A-Z]/);
    }
    expect(tokenizer.decode([...ids, ...ids.subarray(0, 30)], false)).toMatch(/[.] [A-Z][^.]*$/);
    expect([...ids].some((id) => tokenizer.isSpecial(id))).toBe(false);
  });
});
