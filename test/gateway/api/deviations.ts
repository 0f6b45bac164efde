/** Where an answer differs from vLLM 0.15.1's on purpose. */
export interface Deviation {
  readonly name: string;
  readonly reason: string;
  /** Fields of a body that differs. */
  readonly example: readonly [endpoint: 'chat' | 'completion', fields: Readonly<Record<string, unknown>>];
  /** Whether a body of the endpoint is one of them. */
  readonly applies: (body: Readonly<Record<string, unknown>>, endpoint: 'chat' | 'completion') => boolean;
  /** What happens instead: a 400 with this param, or a call that asks for something else. */
  readonly instead: { readonly param: string } | 'another call';
}

const given = (body: Readonly<Record<string, unknown>>, name: string) => (body[name] ?? null) !== null;

/** Contents of the messages of a chat. */
function contents(body: Readonly<Record<string, unknown>>): unknown[] {
  const messages = Array.isArray(body['messages']) ? (body['messages'] as unknown[]) : [];
  return messages.map((message) => (message as { content?: unknown } | null)?.content ?? null);
}

function isText(part: object): boolean {
  const { type } = part as { type?: unknown };
  return type === undefined
    ? Object.hasOwn(part, 'text')
    : ['text', 'refusal', 'input_text', 'output_text', 'thinking'].includes(String(type));
}

const INTEGERS = [
  'max_tokens',
  'max_completion_tokens',
  'min_tokens',
  'n',
  'top_k',
  'priority',
  'top_logprobs',
  'logprobs',
];

/** On any backend. */
export const DEVIATIONS: readonly Deviation[] = [
  {
    name: 'beam search',
    example: ['completion', { use_beam_search: true }],
    reason: 'there is none; sampling instead would be another answer than the one asked for',
    applies: (body) =>
      [true, 1, 'true', 'yes', 'on', '1', 't', 'y'].includes(body['use_beam_search'] as string | boolean | number),
    instead: { param: 'use_beam_search' },
  },
  {
    name: 'suffix of a completion',
    example: ['completion', { suffix: 'x' }],
    reason: 'text is not filled in; vLLM refuses it too, but only after its body is checked',
    applies: (body, endpoint) => endpoint === 'completion' && given(body, 'suffix'),
    instead: { param: 'suffix' },
  },
  {
    name: 'prompt embeddings',
    example: ['completion', { prompt_embeds: 'AAAA' }],
    reason: 'prompts are texts or token ids',
    applies: (body, endpoint) => endpoint === 'completion' && given(body, 'prompt_embeds'),
    instead: { param: 'prompt_embeds' },
  },
  {
    name: 'chat template of a request',
    example: ['chat', { chat_template: '{{ messages }}' }],
    reason: "templates are code: the server's is used; vLLM wants --trust-request-chat-template",
    applies: (body, endpoint) => endpoint === 'chat' && given(body, 'chat_template'),
    instead: { param: 'chat_template' },
  },
  {
    name: 'logits processors and transfer of caches',
    example: ['completion', { kv_transfer_params: { do_remote_decode: true } }],
    reason: 'there are none',
    applies: (body) => given(body, 'logits_processors') || given(body, 'kv_transfer_params'),
    instead: { param: 'kv_transfer_params' },
  },
  {
    name: 'guided_* fields',
    example: ['chat', { guided_json: {} }],
    reason: 'vLLM ignores these old names since 0.12 and answers with unconstrained text',
    applies: (body) =>
      ['guided_json', 'guided_regex', 'guided_choice', 'guided_grammar'].some((name) => given(body, name)),
    instead: 'another call',
  },
  {
    name: 'bad_words of a completion',
    example: ['completion', { bad_words: ['a'] }],
    reason: 'vLLM 0.15.1 ignores the field there (later versions take it); here it means what it means in a chat',
    applies: (body, endpoint) =>
      endpoint === 'completion' && Array.isArray(body['bad_words']) && body['bad_words'].length > 0,
    instead: 'another call',
  },
  {
    name: 'logprobs true with top_logprobs null',
    example: ['chat', { logprobs: true, top_logprobs: null }],
    reason: 'null counts as not given, as for every other field; vLLM then drops logprobs',
    applies: (body, endpoint) => endpoint === 'chat' && given(body, 'logprobs') && body['top_logprobs'] === null,
    instead: 'another call',
  },
  {
    name: 'more log probabilities than the limit',
    example: ['completion', { logprobs: 21 }],
    reason: 'vLLM refuses them too (--max-logprobs 20), but only in the engine, after its body is checked',
    applies: (body) =>
      ['logprobs', 'top_logprobs', 'prompt_logprobs'].some((name) => Number(body[name]) > 20 || body[name] === -1),
    instead: { param: 'logprobs' },
  },
  {
    name: 'more choices than the limit',
    example: ['chat', { n: 129 }],
    reason: 'one request must not fill the engine; vLLM 0.15.1 has no limit (later versions have one)',
    applies: (body) => Number(body['n']) > 128,
    instead: { param: 'n' },
  },
  {
    name: 'numbers that are not finite',
    example: ['chat', { temperature: 'nan' }],
    reason: 'vLLM takes "inf" and "nan" for temperature and penalties; no sampler can',
    applies: (body) =>
      ['temperature', 'repetition_penalty', 'length_penalty', 'top_p', 'min_p'].some(
        (name) => /^\s*[+-]?(inf|nan|infinity)/i.test(String(body[name])) || Math.abs(Number(body[name])) === Infinity,
      ),
    instead: { param: 'temperature' },
  },
  {
    name: 'integers beyond 2^53',
    example: ['completion', { max_tokens: 2 ** 53 + 2 }],
    reason: 'JSON numbers are doubles here and would be another integer; seeds are taken, as any of them will do',
    applies: (body) => INTEGERS.some((name) => Math.abs(Number(body[name])) > Number.MAX_SAFE_INTEGER),
    instead: { param: 'max_tokens' },
  },
  {
    name: 'token ids outside the vocabulary',
    example: ['completion', { logit_bias: { '32000': 1 } }],
    reason: 'vLLM refuses them too, but only in the engine, after its body is checked',
    applies: (body) =>
      Object.keys((body['logit_bias'] ?? {}) as object).some((id) => Number(id) < 0 || Number(id) >= 32_000) ||
      [body['allowed_token_ids'], body['prompt']]
        .flat(2)
        .some((id) => typeof id === 'number' && (id < 0 || id >= 32_000)),
    instead: { param: 'logit_bias' },
  },
  {
    name: 'content parts that are no text',
    example: ['chat', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] }],
    reason: 'the models here read text; vLLM refuses other parts for such models too, when it renders the prompt',
    applies: (body) =>
      contents(body)
        .flat()
        .some((part) => typeof part === 'object' && part !== null && !isText(part)),
    instead: { param: 'messages.0.content.0.type' },
  },
  {
    name: 'no token ids allowed at all',
    example: ['chat', { allowed_token_ids: [] }],
    reason: 'vLLM refuses the empty list too, but only in the engine, after its body is checked',
    applies: (body) => Array.isArray(body['allowed_token_ids']) && body['allowed_token_ids'].length === 0,
    instead: { param: 'allowed_token_ids' },
  },
  {
    name: "variables of the template that are the server's",
    example: ['chat', { chat_template_kwargs: { messages: [] } }],
    reason: 'a request must not replace the messages behind their check',
    applies: (body, endpoint) =>
      endpoint === 'chat' &&
      Object.keys((body['chat_template_kwargs'] ?? {}) as object).some(
        (name) => name.startsWith('__') || name === 'messages',
      ),
    instead: { param: 'chat_template_kwargs' },
  },
];
