import { type TSchema, Type } from 'typebox';
import { AbortSchema, FaultSchema } from './admin-orders.ts';
import { ChatRequestSchema } from './chat-schema.ts';
import { CompletionRequestSchema, GenerateRequestSchema } from './completion-schema.ts';
import { DEBUG_OPERATIONS } from './debug-operations.ts';
import {
  ChatChunkSchema,
  ChatResponseSchema,
  CompletionChunkSchema,
  CompletionResponseSchema,
  DetokenizeResponseSchema,
  ErrorSchema,
  GenerateEventSchema,
  GenerateResponseSchema,
  HealthSchema,
  LoadSchema,
  ModelListSchema,
  ModelSchema,
  TokenizeResponseSchema,
  UsageSchema,
  VersionSchema,
} from './response-schemas.ts';
import { DetokenizeRequestSchema, TokenizeContentSchema, TokenizeRequestSchema } from './tokenize-schema.ts';

export interface OpenApiInfo {
  /** Of the server. */
  readonly version: string;
}

const SCHEMAS = {
  Error: ErrorSchema,
  Usage: UsageSchema,
  ChatCompletionRequest: ChatRequestSchema,
  ChatCompletion: ChatResponseSchema,
  ChatCompletionChunk: ChatChunkSchema,
  CompletionRequest: CompletionRequestSchema,
  Completion: CompletionResponseSchema,
  CompletionChunk: CompletionChunkSchema,
  GenerateRequest: GenerateRequestSchema,
  GenerateResponse: GenerateResponseSchema,
  GenerateEvent: GenerateEventSchema,
  TokenizeRequest: TokenizeRequestSchema,
  TokenizeContentRequest: TokenizeContentSchema,
  TokenizeResponse: TokenizeResponseSchema,
  DetokenizeRequest: DetokenizeRequestSchema,
  DetokenizeResponse: DetokenizeResponseSchema,
  Model: ModelSchema,
  ModelList: ModelListSchema,
  Health: HealthSchema,
  Version: VersionSchema,
  Load: LoadSchema,
  AbortRequest: AbortSchema,
  FaultRequest: FaultSchema,
  DebugResult: Type.Object({}, { description: 'What was found; its fields are described in OPERATIONS.md.' }),
  AdminResult: Type.Object({}, { description: 'What was done.' }),
} as const satisfies Readonly<Record<string, TSchema>>;

type SchemaName = keyof typeof SCHEMAS;

/** One operation; everything else of it follows from these. */
export interface Operation {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly summary: string;
  readonly tag: 'generation' | 'tokens' | 'models' | 'operation' | 'admin';
  readonly body?: readonly SchemaName[];
  /** Absent: text, of `media`. */
  readonly answer?: SchemaName;
  /** Absent: text/plain. */
  readonly media?: 'text/html' | 'text/event-stream';
  /** The data of the events, where the answer can be streamed. */
  readonly event?: SchemaName;
  /** Besides those that its method, path and access have (see `errorsOf`). */
  readonly errors?: readonly number[];
  readonly open?: boolean;
}

const WORK_ERRORS = [404, 429, 504];

const OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: '/v1/chat/completions',
    summary: 'Answer a chat, whole or as server-sent events',
    tag: 'generation',
    body: ['ChatCompletionRequest'],
    answer: 'ChatCompletion',
    event: 'ChatCompletionChunk',
    errors: WORK_ERRORS,
  },
  {
    method: 'post',
    path: '/v1/completions',
    summary: 'Continue texts or token ids, whole or as server-sent events',
    tag: 'generation',
    body: ['CompletionRequest'],
    answer: 'Completion',
    event: 'CompletionChunk',
    errors: WORK_ERRORS,
  },
  {
    method: 'post',
    path: '/generate',
    summary: "The native endpoint: one prompt, streamed by default, without OpenAI's wrapping",
    tag: 'generation',
    body: ['GenerateRequest'],
    answer: 'GenerateResponse',
    event: 'GenerateEvent',
    errors: WORK_ERRORS,
  },
  {
    method: 'post',
    path: '/v1/embeddings',
    summary: 'Not served: models here generate text',
    tag: 'generation',
    errors: [501],
  },
  {
    method: 'post',
    path: '/tokenize',
    summary: "Token ids of a text or a chat, in vLLM's or llama.cpp's shape",
    tag: 'tokens',
    body: ['TokenizeRequest', 'TokenizeContentRequest'],
    answer: 'TokenizeResponse',
    errors: [404],
  },
  {
    method: 'post',
    path: '/detokenize',
    summary: 'The text of token ids',
    tag: 'tokens',
    body: ['DetokenizeRequest'],
    answer: 'DetokenizeResponse',
    errors: [404],
  },
  {
    method: 'get',
    path: '/v1/models',
    summary: 'The models served',
    tag: 'models',
    answer: 'ModelList',
  },
  {
    method: 'get',
    path: '/v1/models/{model}',
    summary: 'One of them',
    tag: 'models',
    answer: 'Model',
    errors: [404],
  },
  {
    method: 'get',
    path: '/health',
    summary:
      'Whether traffic is welcome: 503 while the engine is down, a GPU is unhealthy, or requests wait and no step ends',
    tag: 'operation',
    answer: 'Health',
    open: true,
  },
  {
    method: 'get',
    path: '/health/live',
    summary: 'Whether the process answers',
    tag: 'operation',
    answer: 'Health',
    open: true,
  },
  { method: 'get', path: '/metrics', summary: 'Prometheus metrics', tag: 'operation', open: true },
  { method: 'get', path: '/dashboard', summary: 'A page for people', tag: 'operation', media: 'text/html', open: true },
  {
    method: 'get',
    path: '/dashboard/stream',
    summary: 'What feeds the page: its history, then a frame each second',
    tag: 'operation',
    media: 'text/event-stream',
    open: true,
  },
  {
    method: 'get',
    path: '/version',
    summary: 'Version of the server',
    tag: 'operation',
    answer: 'Version',
    open: true,
  },
  {
    method: 'get',
    path: '/load',
    summary: 'What the engine does now',
    tag: 'operation',
    answer: 'Load',
  },
  {
    method: 'get',
    path: '/openapi.json',
    summary: 'This document',
    tag: 'operation',
    answer: 'AdminResult',
    open: true,
  },
  {
    method: 'post',
    path: '/admin/abort',
    summary: 'End one request, or all',
    tag: 'admin',
    body: ['AbortRequest'],
    answer: 'AdminResult',
  },
  {
    method: 'post',
    path: '/admin/drain',
    summary: 'Finish what runs, take nothing new',
    tag: 'admin',
    answer: 'AdminResult',
  },
  {
    method: 'post',
    path: '/admin/reset_prefix_cache',
    summary: 'Forget cached prefixes',
    tag: 'admin',
    answer: 'AdminResult',
  },
  {
    method: 'post',
    path: '/admin/check',
    summary: "Check the engine's invariants; 500 names the one that is violated, and the engine is started again",
    tag: 'admin',
    answer: 'AdminResult',
  },
  {
    method: 'post',
    path: '/admin/faults',
    summary: 'Inject a fault into the simulated device',
    tag: 'admin',
    body: ['FaultRequest'],
    answer: 'AdminResult',
  },
  {
    method: 'post',
    path: '/debug/trace',
    summary: 'Record every step for ?seconds=N (at most 60); a file for ui.perfetto.dev',
    tag: 'admin',
    answer: 'DebugResult',
    errors: [409],
  },
  {
    method: 'get',
    path: '/debug/slow_steps',
    summary: 'The last steps that took much longer than the median, with what was in them',
    tag: 'admin',
    answer: 'DebugResult',
  },
  {
    method: 'get',
    path: '/debug/requests/{id}',
    summary: 'Where the time of a request went: by the id of its answer, or its x-request-id',
    tag: 'admin',
    answer: 'DebugResult',
    errors: [404],
  },
  ...DEBUG_OPERATIONS,
];

const STATUS_WORDS: Readonly<Record<number, string>> = {
  400: 'The request is malformed, or asks for what is not served',
  401: 'No key, or a wrong one',
  403: 'The key is not for this, or a page or name of another site was used',
  404: 'Unknown model or request',
  408: 'The request did not arrive in time',
  409: 'It is going on already',
  413: 'The body is too large',
  414: 'A part of the path is too long',
  415: 'The body is not application/json',
  417: 'Expect is not 100-continue',
  429: 'The queue is full or the key is over its limit; see Retry-After',
  431: 'The headers are too large',
  500: 'The server failed',
  501: 'Not served',
  503: 'Not now: overload, drain or restart; see Retry-After',
  504: "The request's deadline has passed",
};

/** The OpenAPI 3.1 document of the server; request schemas are the ones that bodies are read by. Plain JSON. */
export function openApiDocument(info: OpenApiInfo): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: operationObject(operation) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Twinfer',
      version: info.version,
      description:
        'An LLM inference server that is its own digital twin. Fields that a request schema does not have are ignored.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      // TypeBox keeps what it needs for inference in hidden properties: only the JSON is the document.
      schemas: JSON.parse(JSON.stringify(SCHEMAS)) as object,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        key: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
    },
  };
}

function operationObject(operation: Operation): object {
  const { method, path, summary, tag, body, open } = operation;
  return {
    operationId: `${method}${path.replace(/[{}]/g, '').replace(/[/_.]+(\w)/g, (_all, letter: string) => letter.toUpperCase())}`,
    summary,
    tags: [tag],
    security: open === true ? [] : [{ bearer: [] }, { key: [] }],
    parameters: parametersOf(operation),
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(body.map(reference)) } }),
    responses: Object.fromEntries(responsesOf(operation)),
  };
}

function parametersOf({ path, event }: Operation): readonly object[] {
  const parameters: object[] = [
    {
      name: 'x-request-id',
      in: 'header',
      required: false,
      schema: { type: 'string' },
      description: 'Sent back, and in logs.',
    },
  ];
  if (event !== undefined) {
    const description = 'The request ends after so many milliseconds.';
    parameters.push({
      name: 'x-request-timeout-ms',
      in: 'header',
      required: false,
      schema: { type: 'number' },
      description,
    });
  }
  for (const [, name] of path.matchAll(/\{(\w+)\}/g))
    parameters.push({ name, in: 'path', required: true, schema: { type: 'string' } });
  return parameters;
}

/** Any request may be bad HTTP, come from elsewhere, or meet a server that fails or goes down. */
const ERRORS_OF_ALL = [400, 403, 408, 417, 431, 500, 503];

function errorsOf({ method, path, open, errors = [] }: Operation): readonly number[] {
  const more = [...(open === true ? [] : [401]), ...(method === 'post' ? [413, 415] : [])];
  const all = new Set([...ERRORS_OF_ALL, ...more, ...(path.includes('{') ? [414] : []), ...errors]);
  return [...all].sort((a, b) => a - b);
}

function responsesOf(operation: Operation): readonly (readonly [string, object])[] {
  const { path, answer, media = 'text/plain', event } = operation;
  const errors = errorsOf(operation);
  const failures = errors.map((status) => {
    const schemas = [reference('Error'), ...(path === '/health' && status === 503 ? [reference('Health')] : [])];
    return [String(status), { description: STATUS_WORDS[status]!, content: json(schemas) }] as const;
  });
  if (errors.includes(501)) return failures;
  const content = {
    ...(answer === undefined ? { [media]: { schema: { type: 'string' } } } : json([reference(answer)])),
    ...(event === undefined ? {} : { 'text/event-stream': { schema: reference(event) } }),
  };
  return [['200', { description: 'Done', content }], ...failures];
}

function json(schemas: readonly object[]): object {
  return { 'application/json': { schema: schemas.length === 1 ? schemas[0] : { anyOf: schemas } } };
}

function reference(name: SchemaName): object {
  return { $ref: `#/components/schemas/${name}` };
}
