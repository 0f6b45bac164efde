import { uniform } from './uniform.ts';

/** A request that was, or may be, expensive. */
export interface CostlyRequest {
  readonly name: string;
  readonly path: string;
  /** JSON text; made when it is sent, since some have megabytes. */
  readonly body: () => string;
  /** Status that it must get; null: any but 500. */
  readonly status: number | null;
}

const json = (value: unknown) => () => JSON.stringify(value);
const ids = (count: number) => Array.from({ length: count }, (_, i) => 32 + (i % 90));
const CHAT = '/v1/chat/completions';
const COMPLETION = '/v1/completions';

/** Requests that an attack blocked the server with. */
export const HOSTILE: readonly CostlyRequest[] = [
  {
    name: 'prompt_logprobs 20 on 125,000 ids',
    path: COMPLETION,
    body: () => JSON.stringify({ prompt: ids(125_000), max_tokens: 1, prompt_logprobs: 20 }),
    status: 400,
  },
  {
    name: 'prompt_logprobs 5 on 125,000 ids',
    path: COMPLETION,
    body: () => JSON.stringify({ prompt: ids(125_000), max_tokens: 1, prompt_logprobs: 5 }),
    status: 200,
  },
  {
    name: 'n 128 with logprobs 20',
    path: CHAT,
    body: json({
      messages: [{ role: 'user', content: 'x' }],
      n: 128,
      max_tokens: 2000,
      logprobs: true,
      top_logprobs: 20,
    }),
    status: 400,
  },
  {
    name: '30 prompts with prompt_logprobs',
    path: COMPLETION,
    body: () =>
      JSON.stringify({ prompt: Array.from({ length: 30 }, () => ids(4000)), max_tokens: 1, prompt_logprobs: 20 }),
    status: 400,
  },
  {
    name: 'a role of 1 MB',
    path: CHAT,
    body: () => JSON.stringify({ messages: [{ role: 'r'.repeat(1 << 20), content: 'x' }], max_tokens: 1 }),
    status: null,
  },
  {
    name: '200,000 unknown keys',
    path: CHAT,
    body: () => {
      const extra = Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`k${i}`, 1]));
      return JSON.stringify({ messages: [{ role: 'user', content: 'x' }], max_tokens: 1, ...extra });
    },
    status: 400,
  },
  {
    name: '/tokenize of 1 MB without spaces, with pieces',
    path: '/tokenize',
    body: () => JSON.stringify({ content: 'x'.repeat(1 << 20), with_pieces: true }),
    status: null,
  },
  {
    name: '/detokenize of 500,000 ids',
    path: '/detokenize',
    body: () => JSON.stringify({ tokens: ids(500_000) }),
    status: 200,
  },
  {
    name: 'a text of 4 MB',
    path: COMPLETION,
    body: () => JSON.stringify({ prompt: 'word '.repeat(800_000), max_tokens: 1 }),
    status: null,
  },
  {
    name: '4,096 messages',
    path: CHAT,
    body: () =>
      JSON.stringify({
        messages: Array.from({ length: 4096 }, () => ({ role: 'user', content: 'hello' })),
        max_tokens: 1,
      }),
    status: null,
  },
  {
    name: '1,000 prompts of 900 characters',
    path: COMPLETION,
    body: () => JSON.stringify({ prompt: Array.from({ length: 1000 }, () => 'y'.repeat(900)), max_tokens: 1 }),
    status: null,
  },
  {
    name: 'a logit bias of 32,000 entries',
    path: COMPLETION,
    body: () => JSON.stringify({ prompt: 'x', logit_bias: Object.fromEntries(ids(32_000).map((_, i) => [i, 1])) }),
    status: 400,
  },
];

/** Large requests that evaluation harnesses send: they are served. */
export const SERVED: readonly CostlyRequest[] = [
  {
    name: 'a prompt of ids that fills the context',
    path: COMPLETION,
    body: () => JSON.stringify({ prompt: ids(131_071), max_tokens: 1 }),
    status: 200,
  },
  {
    name: 'echo with 5 logprobs of a context',
    path: COMPLETION,
    body: () => JSON.stringify({ prompt: ids(131_071), max_tokens: 1, echo: true, logprobs: 5 }),
    status: 200,
  },
  {
    name: 'the same streamed',
    path: COMPLETION,
    body: () => JSON.stringify({ prompt: ids(131_071), max_tokens: 1, echo: true, logprobs: 5, stream: true }),
    status: 200,
  },
  {
    name: 'n 128 with 2,000 tokens each',
    path: CHAT,
    body: json({
      messages: [{ role: 'user', content: 'x' }],
      n: 128,
      max_tokens: 2000,
      ignore_eos: true,
      temperature: 1,
    }),
    status: 200,
  },
];

const TEXTS = ['a', 'word ', '\n', 'ü', '語', '😀', '{{', '<|im_start|>', '0', '\u0000'];

/** Request `index` of a seed: shapes of bodies with sizes from nothing to beyond the limits, evenly on a logarithmic scale. */
export function generatedRequest(seed: number, index: number): CostlyRequest {
  const draw = uniform(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const size = (max: number) => Math.floor(Math.exp(draw() * Math.log(max + 1))) - 1;
  const often = (share: number) => draw() < share;
  const pick = <T>(from: readonly T[]): T => from[Math.floor(draw() * from.length)]!;
  const text = (max: number) => pick(TEXTS).repeat(size(max));
  const many = <T>(max: number, make: () => T): T[] => {
    const item = make();
    return Array.from({ length: size(max) }, () => item);
  };
  const common: Record<string, unknown> = {
    max_tokens: 1 + size(400),
    ...(often(0.3) ? { n: 1 + size(40), temperature: 1 } : {}),
    ...(often(0.3) ? { stream: true } : {}),
    ...(often(0.2) ? { stop: many(20, () => text(1200)) } : {}),
    ...(often(0.2) ? { logit_bias: Object.fromEntries(many(2000, () => 0).map((_, i) => [i, 1])) } : {}),
    ...(often(0.1) ? { stop_token_ids: many(2000, () => 7) } : {}),
    ...(often(0.1) ? { user: text(100_000) } : {}),
    ...(often(0.1) ? Object.fromEntries(many(40_000, () => 0).map((_, i) => [`field${i}`, i])) : {}),
  };
  const kind = pick(['chat', 'completion', 'completion', 'tokenize', 'detokenize'] as const);
  const made: readonly [path: string, body: object] =
    kind === 'chat'
      ? [
          CHAT,
          {
            messages: many(60, () => ({
              role: often(0.9) ? 'user' : text(50_000),
              content: text(3000),
              name: text(20),
            })),
            ...common,
            ...(often(0.4) ? { logprobs: true, top_logprobs: size(22) } : {}),
          },
        ]
      : kind === 'completion'
        ? [
            COMPLETION,
            {
              prompt: often(0.5) ? ids(size(40_000)) : often(0.5) ? text(20_000) : many(60, () => text(500)),
              ...common,
              ...(often(0.4) ? { logprobs: size(22) } : {}),
              ...(often(0.4) ? { echo: true } : {}),
              ...(often(0.3) ? { prompt_logprobs: size(22) } : {}),
            },
          ]
        : kind === 'tokenize'
          ? ['/tokenize', { content: text(100_000), with_pieces: often(0.5) }]
          : ['/detokenize', { tokens: ids(size(100_000)) }];
  return { name: `generated ${index} of seed ${seed}`, path: made[0], body: json(made[1]), status: null };
}
