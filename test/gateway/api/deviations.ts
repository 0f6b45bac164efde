/** Where an answer differs from vLLM 0.15.1's on purpose. */
export interface Deviation {
  readonly name: string;
  readonly reason: string;
  /** Whether a body of the endpoint is one of them. */
  readonly applies: (body: Readonly<Record<string, unknown>>, endpoint: 'chat' | 'completion') => boolean;
  /** What happens instead: a 400 with this param, or a call whose sampling parameters differ. */
  readonly instead: { readonly param: string } | 'other sampling';
}

const given = (body: Readonly<Record<string, unknown>>, name: string) => (body[name] ?? null) !== null;

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
    reason: 'there is none; sampling instead would be another answer than the one asked for',
    applies: (body) => body['use_beam_search'] === true,
    instead: { param: 'use_beam_search' },
  },
  {
    name: 'suffix of a completion',
    reason: 'text is not filled in; vLLM refuses it too, but only after its body is checked',
    applies: (body, endpoint) => endpoint === 'completion' && given(body, 'suffix'),
    instead: { param: 'suffix' },
  },
  {
    name: 'prompt embeddings',
    reason: 'prompts are texts or token ids',
    applies: (body, endpoint) => endpoint === 'completion' && given(body, 'prompt_embeds'),
    instead: { param: 'prompt_embeds' },
  },
  {
    name: 'chat template of a request',
    reason: "templates are code: the server's is used; vLLM wants --trust-request-chat-template",
    applies: (body, endpoint) => endpoint === 'chat' && given(body, 'chat_template'),
    instead: { param: 'chat_template' },
  },
  {
    name: 'logits processors and transfer of caches',
    reason: 'there are none',
    applies: (body) => given(body, 'logits_processors') || given(body, 'kv_transfer_params'),
    instead: { param: 'kv_transfer_params' },
  },
  {
    name: 'guided_* fields',
    reason: 'vLLM ignores these old names since 0.12 and answers with unconstrained text',
    applies: (body) =>
      ['guided_json', 'guided_regex', 'guided_choice', 'guided_grammar'].some((name) => given(body, name)),
    instead: { param: 'guided_json' },
  },
  {
    name: 'bad_words of a completion',
    reason: 'vLLM 0.15.1 ignores the field there (later versions take it); here it means what it means in a chat',
    applies: (body, endpoint) =>
      endpoint === 'completion' && Array.isArray(body['bad_words']) && body['bad_words'].length > 0,
    instead: 'other sampling',
  },
  {
    name: 'logprobs true with top_logprobs null',
    reason: 'null counts as not given, as for every other field; vLLM then drops logprobs',
    applies: (body, endpoint) => endpoint === 'chat' && given(body, 'logprobs') && body['top_logprobs'] === null,
    instead: 'other sampling',
  },
  {
    name: 'more log probabilities than the limit',
    reason: 'vLLM refuses them too (--max-logprobs 20), but only in the engine, after its body is checked',
    applies: (body) =>
      ['logprobs', 'top_logprobs', 'prompt_logprobs'].some((name) => Number(body[name]) > 20 || body[name] === -1),
    instead: { param: 'logprobs' },
  },
  {
    name: 'more choices than the limit',
    reason: 'one request must not fill the engine; vLLM 0.15.1 has no limit (later versions have one)',
    applies: (body) => Number(body['n']) > 128,
    instead: { param: 'n' },
  },
  {
    name: 'numbers that are not finite',
    reason: 'vLLM takes "inf" and "nan" for temperature and penalties; no sampler can',
    applies: (body) =>
      ['temperature', 'repetition_penalty', 'length_penalty', 'top_p', 'min_p'].some(
        (name) => /^\s*[+-]?(inf|nan|infinity)/i.test(String(body[name])) || Math.abs(Number(body[name])) === Infinity,
      ),
    instead: { param: 'temperature' },
  },
  {
    name: 'integers beyond 2^53',
    reason: 'JSON numbers are doubles here and would be another integer; seeds are taken, as any of them will do',
    applies: (body) => INTEGERS.some((name) => Math.abs(Number(body[name])) > Number.MAX_SAFE_INTEGER),
    instead: { param: 'max_tokens' },
  },
  {
    name: 'token ids outside the vocabulary',
    reason: 'vLLM refuses them too, but only in the engine, after its body is checked',
    applies: (body) =>
      Object.keys((body['logit_bias'] ?? {}) as object).some((id) => Number(id) < 0 || Number(id) >= 32_000) ||
      [body['allowed_token_ids'], body['prompt']]
        .flat(2)
        .some((id) => typeof id === 'number' && (id < 0 || id >= 32_000)),
    instead: { param: 'logit_bias' },
  },
  {
    name: 'images, audio and video',
    reason: 'the models here read text; vLLM refuses them for such models too, when it renders the prompt',
    applies: (body) =>
      /"(image_url|input_audio|audio_url|video_url|file|image_embeds)"/.test(JSON.stringify(body['messages'] ?? [])),
    instead: { param: 'messages' },
  },
];
