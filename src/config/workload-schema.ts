import { z } from 'zod';
import { duration } from './units.ts';

const TOKENS_MAX = 2 ** 24 - 1;
const tokens = (description: string) => z.int().min(1).max(TOKENS_MAX).describe(description);
const tokenRange = {
  min: tokens('Smaller draws are raised to it').default(1),
  max: tokens('Larger draws are cut to it').default(131_072),
};

const lognormal = z
  .strictObject({
    distribution: z.literal('lognormal'),
    mu: z.number().min(-20).max(20).describe('Mean of the natural logarithm, with sigma').optional(),
    sigma: z.number().min(0).max(10).describe('Standard deviation of the natural logarithm, with mu').optional(),
    p50: z.number().positive().max(TOKENS_MAX).describe('Median in tokens, with p99').optional(),
    p99: z.number().positive().max(TOKENS_MAX).describe('99th percentile in tokens, with p50').optional(),
    ...tokenRange,
  })
  .refine(
    (l) => {
      const byLogarithm = l.mu !== undefined && l.sigma !== undefined;
      const byPercentiles = l.p50 !== undefined && l.p99 !== undefined;
      const given = [l.mu, l.sigma, l.p50, l.p99].filter((value) => value !== undefined).length;
      return given === 2 && byLogarithm !== byPercentiles;
    },
    { error: 'allowed: p50 and p99, or mu and sigma' },
  );

const distribution = z.discriminatedUnion('distribution', [
  z.strictObject({ distribution: z.literal('fixed'), tokens: tokens('Always this many') }),
  z.strictObject({
    distribution: z.literal('uniform'),
    min: tokens('Smallest, included'),
    max: tokens('Largest, included'),
  }),
  z.strictObject({
    distribution: z.literal('normal'),
    mean: z.number().positive().max(TOKENS_MAX).describe('Mean before draws are cut'),
    std: z.number().min(0).max(TOKENS_MAX).describe('Standard deviation before draws are cut'),
    ...tokenRange,
  }),
  lognormal,
  z.strictObject({
    distribution: z.literal('empirical'),
    file: z.string().min(1).describe('CSV with lines "tokens,weight", relative to the scenario'),
  }),
]);

/** How many tokens: a number, or a distribution. */
const length = (description: string) =>
  z.union([tokens('Always this many'), distribution]).describe(`${description}: a number or a distribution`);

const rate = z.number().positive().max(1e6);

const arrivals = z
  .discriminatedUnion('process', [
    z.strictObject({
      process: z.literal('constant').describe('Equal intervals'),
      requests_per_second: rate.describe('Rate'),
    }),
    z.strictObject({
      process: z.literal('poisson').describe('Exponential intervals'),
      requests_per_second: rate.describe('Mean rate'),
    }),
    z.strictObject({
      process: z.literal('gamma').describe('Gamma intervals: bursty above a cv of 1'),
      requests_per_second: rate.describe('Mean rate'),
      cv: z.number().min(0).max(100).describe('Coefficient of variation of the intervals'),
    }),
    z.strictObject({
      process: z.literal('diurnal').describe('Poisson with a rate that swings like a cosine'),
      requests_per_second: rate.describe('Mean rate over a period'),
      amplitude: z.number().min(0).max(1).describe('Swing as a share of the mean rate'),
      period: duration('Length of a swing').default('24h'),
      peak_at: duration('Time of the first peak').default('12h'),
    }),
    z.strictObject({
      process: z
        .literal('stages')
        .describe("Stages at inference-perf's constant rate: exponential intervals that fill the stage"),
      stages: z
        .array(
          z.strictObject({
            requests_per_second: rate.describe('Mean rate of the stage'),
            duration: duration('Length of the stage'),
          }),
        )
        .min(1)
        .max(10_000)
        .describe('One after the other'),
    }),
    z.strictObject({
      process: z.literal('closed-loop').describe('A fixed number of clients, each sends again when it was served'),
      concurrency: z.int().min(1).max(1_000_000).describe('Clients'),
      think_time: duration('Mean pause of a client between an answer and its next request').default('0s'),
      think_time_cv: z
        .number()
        .min(0)
        .max(100)
        .describe('Its coefficient of variation; 0 = always the mean')
        .default(0),
    }),
  ])
  .describe('When requests arrive');

const content = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('independent').describe('No two prompts share anything'),
      prompt_tokens: length('Length of a prompt'),
      output_tokens: length('Length of an answer'),
    }),
    z.strictObject({
      kind: z.literal('shared-prefix').describe("inference-perf's shared_prefix: groups of users with a system prompt"),
      groups: z.int().min(1).max(1_000_000).describe('Distinct system prompts'),
      users_per_group: z.int().min(1).max(1_000_000).describe('Users of each system prompt'),
      system_prompt_tokens: z.int().min(0).max(TOKENS_MAX).describe('Length of a system prompt; 0 = none'),
      question_tokens: length('Length of a question'),
      output_tokens: length('Length of an answer'),
      history: z
        .enum(['repeat', 'grow'])
        .describe('repeat: a user sends the same prompt again; grow: the whole conversation and a new question')
        .default('repeat'),
      max_history_tokens: tokens('With history grow: a longer conversation starts anew').default(32_768),
    }),
  ])
  .describe('What requests ask');

const priorities = z
  .array(
    z.strictObject({
      share: z.number().positive().max(1e6).describe('Weight among all requests'),
      priority: z
        .int()
        .min(-(2 ** 31))
        .max(2 ** 31 - 1)
        .describe('Smaller is more urgent'),
    }),
  )
  .min(1)
  .max(100)
  .describe('Priorities, drawn per request by weight; without it all have 0');

const source = {
  arrivals,
  content,
  max_tokens: tokens(
    'Limit that clients send: the model ends by itself after the drawn output. Without it outputs have exactly the drawn length (ignore_eos)',
  ).optional(),
  timeout: duration('Time after arrival at which a client gives up').optional(),
};

const generated = z
  .strictObject({
    kind: z.literal('generated').describe('Drawn from distributions and the seed'),
    ...source,
    priorities: priorities.optional(),
  })
  .describe('A synthetic workload');

const stream = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]*$/)
      .meta({ allowed: 'lower-case letters, digits and dashes' })
      .describe('Name, different from those of the other streams; its draws depend on it and on the seed alone'),
    from: duration('Its first request comes after this; its arrivals count time from here').default('0s'),
    to: duration('No request of it arrives at or after this time').optional(),
    ...source,
    priority: z
      .int()
      .min(-(2 ** 31))
      .max(2 ** 31 - 1)
      .describe('Of all its requests; smaller is more urgent')
      .default(0),
  })
  .describe('Traffic of one kind, during one stretch of time');

const mixed = z
  .strictObject({
    kind: z.literal('mixed').describe('Several streams of synthetic traffic at once, each in its own time'),
    streams: z.array(stream).min(1).max(1000).describe('They share no text with each other'),
  })
  .describe('Bursts, long prompts, other customers: traffic that changes over time');

const scale = z.number().min(1e-6).max(1e6);

const trace = z
  .strictObject({
    kind: z.literal('trace').describe('Recorded traffic'),
    path: z.string().min(1).describe('Trace file, relative to the scenario'),
    rate_scale: scale.describe('Requests arrive this many times as fast').default(1),
    time_scale: scale.describe('Time between arrivals grows this many times').default(1),
    start: duration('Part of the trace to replay begins here').default('0s'),
    end: duration('Part of the trace to replay ends here').optional(),
    max_prompt_tokens: tokens('Longer prompts are cut to it').optional(),
    max_output_tokens: tokens('Longer outputs are cut to it').optional(),
    skip_bad_rows: z.boolean().describe('Count and report bad rows instead of failing').default(false),
  })
  .describe('A recorded workload');

export const workloadSchema = z.discriminatedUnion('kind', [generated, mixed, trace]).describe('What arrives');

export type GeneratedSection = z.output<typeof generated>;
export type MixedSection = z.output<typeof mixed>;
export type TraceSection = z.output<typeof trace>;
export type ArrivalsSection = z.output<typeof arrivals>;
export type ContentSection = z.output<typeof content>;
export type LengthSection = z.output<ReturnType<typeof length>>;
