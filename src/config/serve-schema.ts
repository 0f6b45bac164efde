import { z } from 'zod';
import { duration, size } from './units.ts';

const integer = (min: number, max: number, description: string) => z.int().min(min).max(max).describe(description);

const keyLimitFields = {
  requests_per_minute: integer(1, 1e9, 'Requests per minute; a minute of them may come at once').optional(),
  tokens_per_minute: integer(
    1,
    1e12,
    'Prompt and output tokens per minute, counted at the end of a request',
  ).optional(),
  max_concurrency: integer(1, 1e6, 'Requests at the same time').optional(),
};

const keySchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
    .meta({ allowed: 'up to 64 letters, digits, dots, dashes and underscores' })
    .describe('Name in logs'),
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/)
    .meta({ allowed: '64 hexadecimal digits, from: printf %s KEY | sha256sum' })
    .describe('SHA-256 of the key; the key itself stands nowhere'),
  admin: z.boolean().describe('May use the endpoints under /admin').default(false),
  limits: z.strictObject(keyLimitFields).describe('What differs from limits.per_key').default({}),
});

const authSchema = z
  .strictObject({
    keys: z.array(keySchema).max(10_000).describe('Keys that are taken; TWINFER_API_KEYS adds to them').default([]),
    allow_open: z.boolean().describe('Serve without keys on an address that others can reach').default(false),
  })
  .describe('Who may ask');

const limitsSchema = z
  .strictObject({
    max_body: size('Largest body').default('4MiB'),
    max_body_depth: integer(1, 1000, 'How deep a JSON body may nest').default(64),
    header_timeout: duration('Time for the headers of a request').default('10s'),
    request_timeout: duration('Time for a whole request to arrive; the answer is not counted').default('30s'),
    generation_timeout: duration(
      'Time for an answer; clients may ask for less by x-request-timeout-ms; 0s = no limit',
    ).default('0s'),
    max_waiting: integer(
      0,
      1e6,
      'Sequences that may wait; of short queues more is kept for clients that were asked to come back',
    ).default(1024),
    max_queue_wait: duration('Requests whose predicted wait is longer are refused').default('10s'),
    max_retry_after: duration(
      'Longest wait that a refused client is asked for; beyond it 503 without a promise',
    ).default('60s'),
    max_bookings: integer(1, 1e6, 'Refused clients that are remembered until they come back').default(65_536),
    expected_request: duration('Length of a request on a full engine, until it has been measured').default('5s'),
    max_connections: integer(
      1,
      1e6,
      'Connections at the same time; lowered at the start to what the limit of open files leaves room for',
    ).default(4096),
    max_connections_per_address: integer(
      1,
      1e6,
      'Connections of one client address (IPv6: network of 64 bits); without it no limit. Behind a proxy all clients have its address',
    ).optional(),
    max_pipelined_requests: integer(
      0,
      1000,
      'Requests that may wait on one connection for the one before them to be answered',
    ).default(16),
    stream_buffer: size('Unread bytes of a stream above which its reader is cut off').default('1MiB'),
    drain_timeout: duration('Time that running requests get when the server goes down').default('30s'),
    per_key: z.strictObject(keyLimitFields).describe('Limits of every key').default({}),
    fair_keys: z
      .boolean()
      .describe(
        'While several keys have work, each gets the same part of the batch, and at most half of batch and queue; false: keys are served as one',
      )
      .default(true),
  })
  .describe('How much is taken');

const requestSchema = z
  .strictObject({
    max_logprobs: integer(0, 1000, 'Alternatives per token (vLLM: --max-logprobs)').default(20),
    max_n: integer(1, 1024, 'Answers per prompt').default(128),
    max_prompts: integer(1, 65_536, 'Prompts per request').default(1024),
    max_sequences: integer(1, 65_536, 'Prompts times answers').default(1024),
    max_stop: integer(0, 1024, 'Stop strings').default(16),
    max_stop_characters: integer(1, 65_536, 'Characters of a stop string').default(1024),
    max_stop_token_ids: integer(0, 65_536, 'Stop token ids').default(1024),
    max_logit_bias: integer(0, 65_536, 'Entries of logit_bias').default(1024),
    max_messages: integer(1, 1e6, 'Messages of a chat').default(4096),
    max_keys: integer(64, 1e7, 'Keys of all objects of a body, and list items other than numbers').default(32_768),
    max_numbers: integer(64, 1e8, 'Numbers in the lists of a body, such as token ids').default(524_288),
    max_prompt_logprobs: integer(
      1,
      1e9,
      'Tokens of all prompts times the log-probabilities that are reported of each',
    ).default(1_048_576),
    max_answer: size('Largest answer that is not streamed, as estimated before it is generated').default('128MiB'),
  })
  .describe('Sizes within one request');

const watchdogSchema = z
  .strictObject({
    stall: duration('Work waits and no step ends for so long: /health says 503').default('5s'),
    hang: duration('... for so long: the engine is started again').default('15s'),
    restart: duration('Pause before the first restart, doubled with each further one').default('500ms'),
    max_restart: duration('Longest pause before a restart').default('30s'),
    slow_step: z
      .number()
      .gt(1)
      .max(1e6)
      .describe('A step that takes so many times the median of the last ones is kept for /debug/slow_steps')
      .default(8),
  })
  .describe('How the engine is watched');

const logSchema = z
  .strictObject({
    level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).describe('Least severe lines written').default('info'),
    file: z.string().min(1).describe('Where to, relative to this file; without it standard error').optional(),
  })
  .describe('The log: JSON lines without prompts, answers and keys');

const tracingSchema = z
  .strictObject({
    enabled: z
      .boolean()
      .describe(
        'Whether traces are made; without it: when there is an endpoint, here or in OTEL_EXPORTER_OTLP_ENDPOINT',
      )
      .optional(),
    endpoint: z
      .string()
      .regex(/^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/)
      .meta({ allowed: 'a base address such as http://127.0.0.1:4318, without credentials and query' })
      .describe('Base address of an OpenTelemetry collector; without it what the OTEL_EXPORTER_OTLP_* variables say')
      .optional(),
    protocol: z
      .enum(['http/protobuf', 'http/json', 'grpc'])
      .describe('How spans are sent; without it OTEL_EXPORTER_OTLP_PROTOCOL, else http/protobuf')
      .optional(),
    sample_ratio: z
      .number()
      .min(0)
      .max(1)
      .describe(
        'Share that is kept of the traces that nothing else keeps; without it OTEL_TRACES_SAMPLER_ARG, else 0.1',
      )
      .optional(),
    slow_ttft: duration('Traces whose first token comes later are all kept').default('300ms'),
    user_id: z.boolean().describe("Spans carry a hash of the request's field user").default(false),
    token_ids: z
      .boolean()
      .describe("Spans carry the ids of output tokens, from which the user's text can be read")
      .default(false),
    max_queue: integer(
      512,
      1e6,
      'Spans that may wait for the collector; what does not fit is counted and lost',
    ).default(16_384),
  })
  .describe('Traces for an OpenTelemetry collector');

const origin = z
  .string()
  .regex(/^https?:\/\/[A-Za-z0-9.-]+(:\d{1,5})?$/)
  .meta({ allowed: 'an origin such as https://chat.example.org, without a path' });

const hostName = z
  .string()
  .regex(/^([A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})|\[[0-9a-fA-F:.]{2,45}\])$/)
  .meta({ allowed: 'a name or address such as llm.example.org, without scheme and port' });

/** A server's configuration. Unknown keys fail, also in nested sections. */
export const serveSchema = z
  .strictObject({
    $schema: z.string().describe('Ignored; editors read it').optional(),
    scenario: z
      .string()
      .min(1)
      .describe('Scenario with model, device and engine: a path relative to this file, or the name of a bundled one')
      .default('llama-3.1-8b-h100'),
    backend: z
      .enum(['simulated', 'cpu', 'cuda'])
      .describe('What runs the steps; cpu and cuda are not built yet')
      .default('simulated'),
    time_scale: z
      .number()
      .min(0)
      .max(1000)
      .describe('Wall time per simulated time: 1 = real time, 0.1 = ten times faster, 0 = as fast as possible')
      .default(1),
    model_folder: z
      .string()
      .min(1)
      .describe('Folder with tokenizer.json, relative to this file; without it a byte tokenizer')
      .optional(),
    served_model_names: z
      .array(z.string().min(1).max(256))
      .min(1)
      .max(100)
      .describe("Names that requests may use; the first is the one in responses. Without it the scenario's model")
      .optional(),
    host: z.string().min(1).describe('Address to listen on').default('127.0.0.1'),
    port: integer(0, 65_535, 'Port; 0 = a free one').default(8000),
    auth: authSchema.prefault({}),
    limits: limitsSchema.prefault({}),
    request: requestSchema.prefault({}),
    watchdog: watchdogSchema.prefault({}),
    tokenizer: z
      .strictObject({
        threads: integer(1, 256, 'Threads').default(1),
        max_waiting: integer(1, 1e6, 'Texts that may wait for a thread').default(1024),
      })
      .describe('Text to tokens')
      .prefault({}),
    cors_origins: z
      .array(origin)
      .max(1000)
      .describe('Web pages that may ask from a browser; none by default')
      .default([]),
    allowed_hosts: z
      .array(hostName)
      .max(1000)
      .describe(
        'Names by which a server on a loopback address may be asked (header Host) besides localhost and loopback addresses; on other addresses every name is answered',
      )
      .default([]),
    log: logSchema.prefault({}),
    metrics: z
      .strictObject({ vllm_aliases: z.boolean().describe("Also with vLLM's names").default(true) })
      .describe('/metrics')
      .prefault({}),
    record: z
      .strictObject({
        file: z
          .string()
          .min(1)
          .describe('Metrics are appended to it, relative to this file; without it nothing is recorded')
          .optional(),
        interval: duration('Time between samples').default('15s'),
        max_size: size('A larger file is moved to FILE.1').default('256MiB'),
      })
      .describe('A recording of the metrics, for twinfer dashboard and twinfer alerts test')
      .prefault({}),
    tracing: tracingSchema.prefault({}),
    debug: z
      .strictObject({
        allocation_log: integer(
          0,
          1024,
          'Events kept per KV block, 24 bytes each; 0 = off, and leaks have no names',
        ).default(4),
        allocation_stacks: z
          .boolean()
          .describe('Call stacks with them; makes every allocation some 40 us slower')
          .default(false),
      })
      .describe('What helps to find faults')
      .prefault({}),
    step_times: z.boolean().describe('Streams may be asked for the times of steps, for measurements').default(false),
  })
  .describe('A server of Twinfer');

export type ServeSection = z.output<typeof serveSchema>;

/** The JSON schema of server configurations, as editors read it; published as `scenarios/serve.schema.json`. */
export const serveJsonSchema = z.toJSONSchema(serveSchema, { io: 'input', target: 'draft-7' });

/** The published file, byte for byte. */
export function serveJsonSchemaText(): string {
  return `${JSON.stringify({ title: 'Twinfer server', ...serveJsonSchema }, null, 2)}\n`;
}
