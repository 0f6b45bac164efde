import type { LoggerOptions } from 'pino';
import type { LogLevel } from '../../config/serve-config.ts';

/** What must never stand in a log, wherever a caller puts request or response. */
const SECRET_PATHS = ['authorization', 'cookie', '["x-api-key"]', '["set-cookie"]', '["proxy-authorization"]'] as const;

const HOLDERS = [
  '',
  'headers',
  'req.headers',
  'res.headers',
  'request.headers',
  'reply.headers',
  'err.headers',
] as const;

/** Fields of bodies: what users wrote and what was answered. Objects that hold them lose them at the top and one level down. */
const TEXT_FIELDS = ['prompt', 'messages', 'input', 'text', 'content', 'body', 'suffix', 'tools'] as const;

function redactedPaths(): string[] {
  const secrets = HOLDERS.flatMap((holder) => SECRET_PATHS.map((path) => joined(holder, path)));
  return [...secrets, ...TEXT_FIELDS, ...TEXT_FIELDS.map((field) => `*.${field}`)];
}

function joined(holder: string, path: string): string {
  if (holder === '') return path;
  return path.startsWith('[') ? `${holder}${path}` : `${holder}.${path}`;
}

interface RequestLike {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly url?: unknown;
  readonly ip?: unknown;
}

/** An address without its query, which may hold anything. */
function pathOf(url: unknown): string | undefined {
  return typeof url === 'string' ? url.split('?', 1)[0]!.slice(0, 256) : undefined;
}

interface ErrorLike {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly statusCode?: unknown;
  readonly stack?: unknown;
}

/**
 * Kind, code and place of an error. Its message is left out, as is the first part of the stack that repeats it: messages of
 * parsers quote what they read.
 */
function errorFields(error: ErrorLike): Record<string, unknown> {
  const frames = typeof error.stack === 'string' ? error.stack.split('\n').filter((line) => /^\s+at /.test(line)) : [];
  return {
    type: typeof error.name === 'string' ? error.name.slice(0, 64) : 'Error',
    code: typeof error.code === 'string' ? error.code.slice(0, 64) : undefined,
    statusCode: typeof error.statusCode === 'number' ? error.statusCode : undefined,
    stack: frames.slice(0, 20).join('\n'),
  };
}

/** Options for pino: structured lines without keys, cookies, prompts or answers. */
export function logOptions(level: LogLevel): LoggerOptions {
  return {
    level,
    base: null,
    redact: { paths: redactedPaths(), censor: '[redacted]' },
    serializers: {
      req: (request: RequestLike) => ({
        id: request.id,
        method: request.method,
        path: pathOf(request.url),
        ip: request.ip,
      }),
      res: (reply: { readonly statusCode?: unknown }) => ({ statusCode: reply.statusCode }),
      err: errorFields,
    },
  };
}
