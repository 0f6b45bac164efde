import { describe, expect, it } from 'vitest';
import { ApiError, type GenerationCall, parseChat, parseCompletion } from '../../../src/gateway/api/index.ts';
import { outputTokensWithin, requireTokensWithin } from '../../../src/gateway/limits/request-budget.ts';
import { limitsOf } from '../api/limits.ts';

/** As the server has them when nothing else is configured. */
const limits = limitsOf({ nMax: 128, sequencesMax: 1024, promptsMax: 1024 });
const CONTEXT = 131_072;

const completion = (fields: object): GenerationCall => parseCompletion({ prompt: 'a', ...fields }, limits);
const chat = (fields: object): GenerationCall =>
  parseChat({ messages: [{ role: 'user', content: 'a' }], ...fields }, limits);

function refusal(work: () => unknown): ApiError {
  try {
    work();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('the budget of an answer', () => {
  it.each([
    ['a full context', completion({ max_tokens: 16 }), [CONTEXT - 16]],
    ['an echo of it with 5 log-probabilities', completion({ max_tokens: 1, echo: true, logprobs: 5 }), [CONTEXT - 1]],
    ['128 choices of 2,000 tokens', completion({ n: 128, max_tokens: 2000 }), [10]],
    ['128 choices of a chat', chat({ n: 128, max_tokens: 2000 }), [10]],
    ['a long answer with 20 log-probabilities', chat({ logprobs: true, top_logprobs: 20, max_tokens: 32_000 }), [10]],
    ['1,024 prompts', completion({ max_tokens: 1000 }), Array.from({ length: 1024 }, () => 500)],
    ['a stream of any length', completion({ n: 128, logprobs: 20, max_tokens: 100_000, stream: true }), [10]],
  ])('has room for %s', (_name, call, prompts) => {
    expect(outputTokensWithin(call, prompts, limits)).toBeGreaterThanOrEqual(call.outputTokensMax!);
  });

  it.each([
    ['prompt_logprobs', completion({ prompt_logprobs: 20 }), [125_000]],
    ['prompt_logprobs', completion({ prompt_logprobs: 20 }), Array.from({ length: 30 }, () => 125_000)],
    ['logprobs', completion({ echo: true, logprobs: 20 }), [125_000]],
    ['logprobs', completion({ echo: true, logprobs: 20, stream: true }), [125_000]],
    ['logprobs', completion({ n: 128, logprobs: 20, max_tokens: 2000 }), [10]],
    ['logprobs', chat({ n: 128, logprobs: true, top_logprobs: 20, max_tokens: 2000 }), [10]],
    ['n', completion({ n: 128, max_tokens: 100_000 }), [10]],
    ['echo', completion({ n: 128, echo: true }), [100_000]],
    ['return_token_ids', completion({ n: 128, return_token_ids: true }), [CONTEXT]],
    ['min_tokens', completion({ n: 128, max_tokens: null, min_tokens: 100_000 }), [10]],
  ])('is exceeded by %s', (param, call, prompts) => {
    const error = refusal(() => outputTokensWithin(call, prompts, limits));
    expect([error.status, error.code, error.param]).toEqual([
      400,
      'answer_too_large',
      param === 'min_tokens' ? 'n' : param,
    ]);
    expect(error.message).toMatch(new RegExp(`^${error.param}: .*\\d+.*; expected: at most \\d+`));
  });

  it('bounds answers for which no length is asked', () => {
    const open = chat({ n: 128, logprobs: true, top_logprobs: 20 });
    const room = outputTokensWithin(open, [10], limits);
    expect(room).toBeGreaterThan(100);
    expect(room).toBeLessThan(1000);
    expect(outputTokensWithin(chat({}), [10], limits)).toBeGreaterThan(CONTEXT);
    expect(outputTokensWithin(chat({ ...{ n: 128 }, stream: true }), [10], limits)).toBe(Number.POSITIVE_INFINITY);
  });

  it('holds for the tokens of /tokenize', () => {
    requireTokensWithin(null, 4 << 20, limits);
    requireTokensWithin('return_token_strs', 4 << 20, limits);
    requireTokensWithin('with_pieces', 1 << 20, limits);
    expect(refusal(() => requireTokensWithin('with_pieces', 4 << 20, limits)).param).toBe('with_pieces');
    expect(refusal(() => requireTokensWithin(null, 1 << 25, limits)).param).toBe('prompt');
  });
});
