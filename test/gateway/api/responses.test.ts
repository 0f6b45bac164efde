import type { TSchema } from 'typebox';
import { Errors } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import type { FinishedChoice, TokenDetail } from '../../../src/gateway/answer/answer-shape.ts';
import { shapeOf } from '../../../src/gateway/answer/shape-of.ts';
import {
  ApiError,
  errorBody,
  type GenerationCall,
  parseChat,
  parseCompletion,
  parseGenerate,
} from '../../../src/gateway/api/index.ts';
import {
  ChatChunkSchema,
  ChatResponseSchema,
  CompletionChunkSchema,
  CompletionResponseSchema,
  ErrorSchema,
  GenerateEventSchema,
  GenerateResponseSchema,
} from '../../../src/gateway/api/response-schemas.ts';
import { ChoiceText } from '../../../src/gateway/choice-text.ts';
import type { Choice } from '../../../src/gateway/generation-run.ts';
import { ByteTokenizer } from '../../../src/tokenizer/byte-tokenizer.ts';
import { limitsOf } from './limits.ts';

const tokenizer = new ByteTokenizer();
const limits = limitsOf();
const identity = { id: 'x-1', created: 1_700_000_000, model: 'm' };
const usage = { promptTokens: 5, outputTokens: 2, cachedPromptTokens: 4 };
const TEXT = 'é "\\\n\u2028 💡';

const choiceOf = (index: number, finishReason: Choice['finishReason']): Choice => ({
  index,
  prompt: 0,
  text: new ChoiceText(tokenizer, true, [], false, 0),
  finishReason,
  stopReason: finishReason === 'stop' ? 'END' : null,
});

const logprob = {
  id: 104,
  logprob: -0.5,
  top: [
    { id: 104, logprob: -0.5 },
    { id: 255, logprob: -1.5 },
  ],
};
const detail: TokenDetail = { logprob, tokenIds: [104], textOffset: 3 };

const messages = [{ role: 'user', content: 'hi' }];
const ENDPOINTS: readonly (readonly [string, (fields: object) => GenerationCall, TSchema, TSchema])[] = [
  ['chat', (fields) => parseChat({ messages, ...fields }, limits), ChatResponseSchema, ChatChunkSchema],
  [
    'completion',
    (fields) => parseCompletion({ prompt: 'hi', ...fields }, limits),
    CompletionResponseSchema,
    CompletionChunkSchema,
  ],
  [
    'generate',
    (fields) => parseGenerate({ prompt: 'hi', ...fields }, limits),
    GenerateResponseSchema,
    GenerateEventSchema,
  ],
];

/** What is wrong with a value by a schema, in words; null when nothing is. */
function wrong(schema: TSchema, value: unknown): string | null {
  const errors = Errors(schema, value);
  return errors.length === 0
    ? null
    : errors.map(({ instancePath, message }) => `${instancePath} ${message}`).join('; ');
}

/** The events of stream text: each framed as clients split it. */
function eventsOf(text: string): unknown[] {
  expect(text).toMatch(/^[\n\x20-\x7e]*$/);
  expect(text.endsWith('\n\n')).toBe(true);
  return text
    .slice(0, -2)
    .split('\n\n')
    .map((event) => {
      expect(event.startsWith('data: ')).toBe(true);
      expect(event).not.toContain('\n');
      return JSON.parse(event.slice('data: '.length)) as unknown;
    });
}

describe.each(ENDPOINTS)('answers of %s are what the OpenAPI document says', (kind, call, body, event) => {
  const finished: FinishedChoice = {
    choice: choiceOf(0, 'stop'),
    text: TEXT,
    tokenIds: [104],
    promptIds: Int32Array.of(104, 105),
    logprobs: { length: 1, id: () => 104, at: () => logprob },
    promptLogprobs: null,
  };

  it.each([{}, { return_token_ids: true }, { logprobs: kind === 'chat' ? true : 2 }])(
    'whole, asked with %j',
    (fields) => {
      const asked = call(fields);
      const choices = [asked.logprobs === null ? { ...finished, logprobs: null } : finished];
      const answer = shapeOf(asked, identity, tokenizer).body(asked, choices, usage);
      expect(wrong(body, JSON.parse(JSON.stringify(answer)))).toBeNull();
    },
  );

  it('streamed', () => {
    const shape = shapeOf(call({ stream: true }), identity, tokenizer);
    const choice = choiceOf(1, null);
    const text = [
      shape.opening(choice),
      `${shape.prefix(choice)}a\\u00e9${shape.suffix}`,
      shape.detailed(choice, TEXT, detail, usage),
      shape.closing(choiceOf(1, 'length'), null),
      shape.usage(usage),
    ].join('');
    const events = eventsOf(text);
    expect(events.map((each) => wrong(event, each)).filter((each) => each !== null)).toEqual([]);
    expect(shape.done).toBe('data: [DONE]\n\n');
    const last = events.at(-1) as { choices?: unknown[]; usage: object };
    if (kind !== 'generate') expect(last.choices).toEqual([]);
    expect(last.usage).toEqual({
      prompt_tokens: 5,
      completion_tokens: 2,
      total_tokens: 7,
      prompt_tokens_details: { cached_tokens: 4 },
    });
  });
});

describe('order in a chat', () => {
  it('begins with the role alone and ends with an empty delta that says why', () => {
    const shape = shapeOf(parseChat({ messages, stream: true }, limits), identity, tokenizer);
    const [opening] = eventsOf(shape.opening(choiceOf(2, null)));
    expect(opening).toMatchObject({
      choices: [{ index: 2, delta: { role: 'assistant', content: '' }, finish_reason: null }],
    });
    const [closing] = eventsOf(shape.closing(choiceOf(2, 'stop'), null));
    expect(closing).toMatchObject({ choices: [{ index: 2, delta: {}, finish_reason: 'stop', stop_reason: 'END' }] });
  });
});

describe('an error', () => {
  it('is what the OpenAPI document says', () => {
    const error = new ApiError(400, 'invalid_request_error', null, null, 'no');
    expect(wrong(ErrorSchema, errorBody(error))).toBeNull();
    expect(wrong(ErrorSchema, { error: 'no' })).not.toBeNull();
  });
});
