import { createHash } from 'node:crypto';
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

/** Letters, digits, - and _, with a digit among them: what generators of ids make, and no sentence. */
const ID_LIKE = /^(?=.*[0-9])[A-Za-z0-9_-]{1,80}$/;

/**
 * The name of a request as the log has it. Clients choose names (`x-request-id`, `request_id`) and may write anything there: one that
 * does not have the form of an id is logged as its hash, so that an operator who has the name can still find the request.
 */
export function loggedId(id: string): string {
  return ID_LIKE.test(id) ? id : `sha256-${createHash('sha256').update(id).digest('hex').slice(0, 16)}`;
}

interface RequestLike {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly ip?: unknown;
  readonly routeOptions?: { readonly url?: unknown };
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

function holdsError(fields: unknown): fields is { readonly err: unknown } {
  return typeof fields === 'object' && fields !== null && 'err' in fields;
}

/** Options for pino: structured lines without keys, cookies, prompts or answers. */
export function logOptions(level: LogLevel): LoggerOptions {
  return {
    level,
    base: null,
    hooks: {
      /** pino takes the message of an error for a line that has none. */
      logMethod(args, method) {
        const [first] = args as readonly unknown[];
        if (first instanceof Error) method.apply(this, [{ err: first }, 'error']);
        else if (args.length === 1 && holdsError(first)) method.apply(this, [first, 'error']);
        else method.apply(this, args);
      },
    },
    redact: { paths: redactedPaths(), censor: '[redacted]' },
    serializers: {
      req: (request: RequestLike) => ({
        id: typeof request.id === 'string' ? loggedId(request.id) : undefined,
        method: request.method,
        // As registered: what a client asked for may hold anything.
        route: request.routeOptions?.url,
        ip: request.ip,
      }),
      res: (reply: { readonly statusCode?: unknown }) => ({ statusCode: reply.statusCode }),
      err: errorFields,
    },
  };
}
