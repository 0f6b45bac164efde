import { describe, expect, it } from 'vitest';
import {
  ApiError,
  checkLength,
  errorBody,
  type GenerationCall,
  parseChat,
  parseCompletion,
  parseDetokenize,
  parseGenerate,
  parseJsonBody,
  parseTokenize,
  type ServedLimits,
} from '../../../src/gateway/api/index.ts';
import { type BadInput, badBodies, badInputs, badJson, badLengths, type ServedFacts } from '../bad-inputs.ts';
import { limitsOf } from './limits.ts';

const limits = limitsOf();
const facts: ServedFacts = {
  model: 'm',
  modelLenMax: limits.modelLenMax,
  vocabularySize: limits.vocabularySize,
  bodyBytesMax: 2 ** 20,
  bodyDepthMax: 16,
};

const PARSERS: Readonly<Record<string, (body: unknown, served: ServedLimits) => unknown>> = {
  '/v1/chat/completions': parseChat,
  '/v1/completions': parseCompletion,
  '/generate': parseGenerate,
  '/tokenize': parseTokenize,
  '/detokenize': parseDetokenize,
};

/** One token per word: as good as any tokenizer for what is checked here. */
function lengths(call: GenerationCall): void {
  for (const prompt of call.prompts) {
    const text =
      prompt.kind === 'chat'
        ? prompt.messages.map((message) => message.content).join(' ')
        : prompt.kind === 'text'
          ? prompt.text
          : '';
    checkLength(prompt.kind === 'tokens' ? prompt.ids : new Int32Array(text.split(/\s+/).length), call, limits);
  }
}

function answerTo(input: BadInput): ApiError | null {
  try {
    const call = PARSERS[input.path]!(parseJsonBody(input.body!, { ...limits, depthMax: facts.bodyDepthMax }), limits);
    if (input.path !== '/tokenize' && input.path !== '/detokenize') lengths(call as GenerationCall);
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  return null;
}

describe('the corpus of bad inputs', () => {
  it('has more than 200 cases, each with a name of its own', () => {
    const names = badInputs(facts).map(({ name, body }) => `${name} ${typeof body === 'string' ? body.length : ''}`);
    expect(names.length).toBeGreaterThan(200);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });
});

describe('bad bodies get the right error', () => {
  it.each([...badBodies(facts), ...badLengths(facts), ...badJson(facts)].map((input) => [input.name, input] as const))(
    '%s',
    (_name, input) => {
      const error = answerTo(input);
      expect(error).not.toBeNull();
      expect({ status: error!.status, param: error!.param, code: error!.code }).toEqual({
        status: input.status[0],
        param: input.param,
        code: input.code,
      });
      expect(error!.message).toMatch(/^[\x20-\x7e]{5,400}$/);
      expect(Object.keys(errorBody(error!).error)).toEqual(['message', 'type', 'param', 'code']);
    },
  );
});
