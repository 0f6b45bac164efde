import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ApiError,
  type GenerationCall,
  parseChat,
  parseCompletion,
  parseGenerate,
} from '../../../src/gateway/api/index.ts';
import { ABLE, limitsOf } from './limits.ts';

const limits = limitsOf();
const able = limitsOf({ capabilities: ABLE });
const USER = [{ role: 'user', content: 'hi' }];
const TOOL = {
  type: 'function',
  function: { name: 'f', parameters: { type: 'object', properties: {} }, strict: true },
};

const chat = (fields: object, served = limits) => parseChat({ messages: USER, ...fields }, served);
const completion = (fields: object, served = limits) => parseCompletion({ prompt: 'hi', ...fields }, served);

function chatPrompt(call: GenerationCall) {
  const prompt = call.prompts[0]!;
  if (prompt.kind !== 'chat') throw new Error('not a chat');
  return prompt;
}

describe('a chat', () => {
  it('resolves to defaults', () => {
    expect(chat({})).toMatchObject({
      kind: 'chat',
      model: null,
      outputTokensMax: null,
      stop: [],
      stream: false,
      includeUsage: false,
      echo: false,
      logprobs: null,
      addSpecialTokens: false,
      skipSpecialTokens: true,
      outputFormat: { kind: 'text' },
      toolChoice: { kind: 'none' },
      requestFields: { priority: 0 },
      cacheSalt: null,
      unknownFields: [],
    });
    expect(chatPrompt(chat({})).options).toEqual({
      addGenerationPrompt: true,
      continueFinalMessage: false,
      tools: null,
      documents: null,
      templateVariables: {},
    });
  });

  it('has its text parts joined by line breaks, whatever way they are written', () => {
    const content = [
      'a',
      { type: 'text', text: 'b' },
      { text: 'c' },
      { type: 'text' },
      { type: 'refusal', refusal: 'd' },
    ];
    expect(chatPrompt(chat({ messages: [{ role: 'user', content }] })).messages).toEqual([
      { role: 'user', content: 'a\nb\nc\nd' },
    ]);
  });

  it('has the arguments of tool calls as objects, and keeps what templates read', () => {
    const messages = [
      { role: 'developer', content: 'be brief', name: 'boss' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
      },
      { role: 'tool', content: 'x', tool_call_id: '1' },
      { role: 'assistant', reasoning_content: 'hm' },
    ];
    expect(chatPrompt(chat({ messages })).messages).toEqual([
      { role: 'developer', content: 'be brief', name: 'boss' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: { a: 1 } } }],
      },
      { role: 'tool', content: 'x', tool_call_id: '1' },
      { role: 'assistant', content: '', reasoning_content: 'hm' },
    ]);
  });

  it('passes tools whole to the template when none may be called', () => {
    const call = chat({ tools: [TOOL], tool_choice: 'none' });
    expect(call.toolChoice).toEqual({ kind: 'none' });
    expect(chatPrompt(call).options.tools).toEqual([TOOL]);
  });

  it('may call tools where the backend can', () => {
    expect(chat({ tools: [TOOL] }, able).toolChoice).toEqual({ kind: 'auto' });
    expect(chat({ tools: [TOOL], tool_choice: 'required' }, able).toolChoice).toEqual({ kind: 'required' });
    const named = { type: 'function', function: { name: 'f' } };
    expect(chat({ tools: [TOOL], tool_choice: named }, able).toolChoice).toEqual({ kind: 'named', name: 'f' });
    expect(chat({ tools: [TOOL], tool_choice: null }, able).toolChoice).toEqual({ kind: 'none' });
  });

  it.each([
    [{ response_format: { type: 'json_object' } }, { kind: 'json-object' }],
    [
      {
        response_format: { type: 'json_schema', json_schema: { name: 'a', schema: { type: 'object' }, strict: true } },
      },
      { kind: 'json-schema', name: 'a', schema: { type: 'object' } },
    ],
    [{ structured_outputs: { regex: 'a+' } }, { kind: 'structured', constraint: { regex: 'a+' } }],
    [{ guided_choice: ['a', 'b'] }, { kind: 'structured', constraint: { choice: ['a', 'b'] } }],
    [{ response_format: { type: 'text' } }, { kind: 'text' }],
  ])('%j constrains the output where the backend can', (fields, outputFormat) => {
    expect(chat(fields, able).outputFormat).toEqual(outputFormat);
  });

  it('hands variables to the template', () => {
    const call = chat({ chat_template_kwargs: { enable_thinking: false, deep: { a: [1] } }, reasoning_effort: 'low' });
    expect(chatPrompt(call).options.templateVariables).toEqual({
      enable_thinking: false,
      deep: { a: [1] },
      reasoning_effort: 'low',
    });
  });

  it('leaves the last message open on request', () => {
    const { options } = chatPrompt(chat({ continue_final_message: true }));
    expect(options).toMatchObject({ continueFinalMessage: true, addGenerationPrompt: false });
  });

  it('reports log probabilities when told to, with as many alternatives as asked for', () => {
    expect(chat({ logprobs: true }).logprobs).toBe(0);
    expect(chat({ logprobs: true, top_logprobs: 5 }).sampling.logprobs).toBe(5);
    expect(chat({ logprobs: true, top_logprobs: null }).logprobs).toBe(0);
  });
});

describe('a completion', () => {
  it.each([
    ['hi', [{ kind: 'text', text: 'hi' }]],
    [
      ['a', ''],
      [
        { kind: 'text', text: 'a' },
        { kind: 'text', text: '' },
      ],
    ],
    [[1, 2], [{ kind: 'tokens', ids: Int32Array.of(1, 2) }]],
    [[1, '2', true], [{ kind: 'tokens', ids: Int32Array.of(1, 2, 1) }]],
    [
      [[1], ['2', 3]],
      [
        { kind: 'tokens', ids: Int32Array.of(1) },
        { kind: 'tokens', ids: Int32Array.of(2, 3) },
      ],
    ],
    [
      ['1', '2'],
      [
        { kind: 'text', text: '1' },
        { kind: 'text', text: '2' },
      ],
    ],
    [[], [{ kind: 'tokens', ids: new Int32Array(0) }]],
  ])('with the prompt %j has these prompts', (prompt, prompts) => {
    expect(completion({ prompt }).prompts).toEqual(prompts);
  });

  it('may be an echo without output', () => {
    const call = completion({ echo: true, max_tokens: 0, logprobs: 1 });
    expect(call).toMatchObject({ echo: true, outputTokensMax: 0, logprobs: 1 });
    expect(call.sampling.promptLogprobs).toBe(1);
  });

  it('limits prompts times choices', () => {
    expect(() => completion({ prompt: new Array(100).fill('a'), n: 2 })).not.toThrow();
    expect(() => completion({ prompt: new Array(200).fill('a'), n: 2 })).toThrow(/n: 200 prompts with 2 choices each/);
  });

  it('clamps biases and reads their keys as Python does', () => {
    const { logitBias } = completion({ logit_bias: { ' 7 ': 500, '+8': -500, '9': '1.5' } }).sampling;
    expect(logitBias).toEqual(
      new Map([
        [7, 100],
        [8, -100],
        [9, 1.5],
      ]),
    );
  });

  it.each([
    [{}, false, false],
    [{ stream_options: {} }, true, false],
    [{ stream_options: { include_usage: true } }, true, false],
    [{ stream_options: { include_usage: false, continuous_usage_stats: true } }, false, false],
    [{ stream_options: { continuous_usage_stats: true } }, true, true],
  ])('streamed with %j says usage at the end: %j, and on the way: %j', (fields, includeUsage, continuousUsage) => {
    expect(completion({ stream: true, ...fields })).toMatchObject({ includeUsage, continuousUsage });
  });

  it('notes fields that it does not know, in printable letters, and at most 16 of them', () => {
    expect(completion({ best_of: 3, store: true, 'a\u0000b': 1 }).unknownFields).toEqual(['best_of', 'store', 'a?b']);
    const many = Object.fromEntries(Array.from({ length: 100 }, (_none, index) => [`x${index}`, 1]));
    expect(completion(many).unknownFields).toHaveLength(16);
  });

  it('is greedy without leftovers at temperature 0', () => {
    const { sampling } = completion({ temperature: 0, top_p: 0.5, top_k: 5, min_p: 0.5 });
    expect(sampling).toMatchObject({ temperature: 0, topP: 1, topK: 0, minP: 0 });
  });

  it('serves the model by any of its names, and by none', () => {
    expect(completion({ model: 'alias' }).model).toBe('alias');
    expect(completion({ model: '' }).model).toBeNull();
    expect(() => completion({ model: 'M' })).toThrow(/model: "M" is not served here; served: m, alias/);
  });
});

describe('the native endpoint', () => {
  it('streams by default and knows the user as user_id', () => {
    const call = parseGenerate({ prompt: [1, 2], user_id: 'u1' }, limits);
    expect(call).toMatchObject({ kind: 'generate', stream: true, user: 'u1', outputTokensMax: 16, unknownFields: [] });
    expect(parseGenerate({ prompt: 'a', stream: false }, limits).stream).toBe(false);
  });
});

describe('any body', () => {
  const names = [
    'prompt',
    'messages',
    'n',
    'stop',
    'logit_bias',
    'stream',
    'stream_options',
    'tools',
    'tool_choice',
    'response_format',
    'seed',
    'logprobs',
  ];
  const anyBody = fc.oneof(
    fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), fc.jsonValue()),
    fc.jsonValue(),
  );

  it('is resolved or refused with an ApiError, never anything else', () => {
    fc.assert(
      fc.property(anyBody, (body) => {
        for (const parse of [parseChat, parseCompletion, parseGenerate]) {
          try {
            parse(body, limits);
          } catch (error) {
            expect(error).toBeInstanceOf(ApiError);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('that is refused has no text of its prompt in the error', () => {
    const secret = 'Tr0ub4dor';
    const places: readonly object[] = [
      { messages: secret },
      { messages: [secret] },
      { messages: [{ role: { a: secret } }] },
      { messages: [{ role: 'user', content: { a: secret } }] },
      { messages: [{ role: 'user', content: [{ type: secret }] }] },
      { messages: [{ role: 'user', content: [{ type: 'text', text: [secret] }] }] },
      { messages: [{ role: 'user', content: `${secret}\ud800` }] },
      { messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: `{${secret}` } }] }] },
      { prompt: [secret, 5] },
      { prompt: [[secret]] },
      { prompt: `${secret}\ud800` },
      { prompt: { a: secret } },
      { prompt: 'a', suffix: secret },
      { prompt: 'a', cache_salt: `${secret}\ud800` },
      { messages: USER, documents: secret },
    ];
    for (const body of places) {
      const parse = Object.hasOwn(body, 'messages') ? parseChat : parseCompletion;
      expect(() => parse(body, limits)).toThrow(ApiError);
      expect(() => parse(body, limits)).not.toThrow(new RegExp(secret));
    }
  });
});
