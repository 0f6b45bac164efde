import { describe, expect, it } from 'vitest';
import {
  checkLength,
  type GenerationCall,
  parseChat,
  parseCompletion,
  parseDetokenize,
  parseTokenize,
} from '../../../src/gateway/api/index.ts';
import { limitsOf } from './limits.ts';

const limits = limitsOf({ modelLenMax: 100 });

describe('tokenize', () => {
  it("takes vLLM's prompt, with special tokens by default", () => {
    expect(parseTokenize({ model: 'm', prompt: 'hi', return_token_strs: true }, limits)).toEqual({
      shape: 'vllm',
      prompt: { kind: 'text', text: 'hi' },
      addSpecialTokens: true,
      returnTokenStrings: true,
    });
  });

  it("takes vLLM's messages, without them: the template has them", () => {
    const call = parseTokenize({ messages: [{ role: 'user', content: 'hi' }], add_generation_prompt: false }, limits);
    expect(call).toMatchObject({
      shape: 'vllm',
      addSpecialTokens: false,
      prompt: { kind: 'chat', options: { addGenerationPrompt: false } },
    });
  });

  it("takes llama.cpp's content, without special tokens by default; an empty text has none", () => {
    expect(parseTokenize({ content: '', with_pieces: true }, limits)).toEqual({
      shape: 'llama.cpp',
      prompt: { kind: 'text', text: '' },
      addSpecialTokens: false,
      withPieces: true,
    });
    expect(parseTokenize({ content: 'a', add_special: true }, limits).addSpecialTokens).toBe(true);
  });
});

describe('detokenize', () => {
  it('tells the shapes apart by the model, which vLLM has', () => {
    expect(parseDetokenize({ model: 'm', tokens: [1, '2'] }, limits)).toEqual({
      shape: 'vllm',
      ids: Int32Array.of(1, 2),
    });
    expect(parseDetokenize({ tokens: [] }, limits)).toEqual({ shape: 'llama.cpp', ids: new Int32Array(0) });
  });
});

describe('a length', () => {
  const chat = (fields: object): GenerationCall => parseChat({ messages: [], ...fields }, limits);
  const completion = (fields: object): GenerationCall => parseCompletion({ prompt: 'x', ...fields }, limits);
  const prompt = (length: number) => Int32Array.from({ length }, (_none, index) => index);

  it('without a maximum is what the context leaves', () => {
    expect(checkLength(prompt(40), chat({}), limits)).toEqual({ ids: prompt(40), outputTokensMax: 60 });
    expect(checkLength(prompt(99), chat({}), limits).outputTokensMax).toBe(1);
    expect(() => checkLength(prompt(100), chat({}), limits)).toThrow(
      /maximum context length is 100 tokens.*requested 101 tokens \(100 in the messages/,
    );
  });

  it('may fill the context to the last token, and no further', () => {
    expect(checkLength(prompt(84), completion({}), limits).outputTokensMax).toBe(16);
    expect(() => checkLength(prompt(85), completion({}), limits)).toThrow(
      /requested 101 tokens \(85 in the prompt, 16 for the output\)/,
    );
  });

  it('of an echo needs no room for an output', () => {
    expect(checkLength(prompt(100), completion({ echo: true, max_tokens: 0 }), limits).outputTokensMax).toBe(0);
  });

  it('truncates a prompt to its last tokens when told to', () => {
    expect(checkLength(prompt(90), completion({ truncate_prompt_tokens: 2 }), limits).ids).toEqual(
      Int32Array.of(88, 89),
    );
    expect(checkLength(prompt(500), completion({ truncate_prompt_tokens: -1 }), limits).ids).toHaveLength(84);
    expect(checkLength(prompt(3), completion({ truncate_prompt_tokens: 50 }), limits).ids).toHaveLength(3);
    expect(() => checkLength(prompt(500), completion({ truncate_prompt_tokens: 200 }), limits)).toThrow(
      /maximum context length/,
    );
  });

  it('holds min_tokens against what the context leaves', () => {
    expect(() => checkLength(prompt(90), chat({ min_tokens: 11 }), limits)).toThrow(
      /min_tokens: got 11; allowed: at most the 10/,
    );
    expect(checkLength(prompt(90), chat({ min_tokens: 10 }), limits).outputTokensMax).toBe(10);
  });

  it('of nothing is no prompt', () => {
    expect(() => checkLength(prompt(0), chat({}), limits)).toThrow(/messages: has no tokens/);
  });
});
