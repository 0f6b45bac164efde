/**
 * What the server answers when it does not answer: OpenAI's body `{error: {message, type, param, code}}`.
 *
 * The official clients choose their exception class by the HTTP status alone (`APIError.generate` in `openai-node`'s
 * `core/error.ts`: 400 BadRequestError, 401 AuthenticationError, 403 PermissionDeniedError, 404 NotFoundError, 409
 * ConflictError, 422 UnprocessableEntityError, 429 RateLimitError, >= 500 InternalServerError) and hand `type`, `param` and
 * `code` through. Types and codes here are OpenAI's own words (`invalid_request_error`, `context_length_exceeded`), because
 * applications compare them; vLLM writes class names (`BadRequestError`) and repeats the status as `code`.
 *
 * A message names the field, the value it had and what is allowed. Text of prompts never gets into one.
 */
export type ApiErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'not_found_error'
  | 'rate_limit_error'
  | 'overloaded_error'
  | 'not_supported_error'
  | 'timeout_error'
  | 'server_error';

export interface ApiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: ApiErrorType;
    readonly param: string | null;
    readonly code: string | number | null;
  };
}

export class ApiError extends Error {
  /** HTTP status; inside a stream, what the status would have been. */
  readonly status: number;
  readonly type: ApiErrorType;
  readonly code: string | number | null;
  /** The field at fault, as a path in the body (`messages.0.role`), or null. */
  readonly param: string | null;
  /** After which a retry makes sense: the Retry-After header; null = no such promise. */
  readonly retryAfterMs: number | null;

  constructor(
    status: number,
    type: ApiErrorType,
    code: string | number | null,
    param: string | null,
    message: string,
    retryAfterMs: number | null = null,
  ) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.type = type;
    this.code = code;
    this.param = param;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The body for `error`: to be sent with `error.status`, or as the data of an event once a stream has begun. */
export function errorBody(error: ApiError): ApiErrorBody {
  return { error: { message: error.message, type: error.type, param: error.param, code: error.code } };
}

/** 400: `param` has a value that is not allowed. */
export function badRequest(param: string | null, message: string, code: string | null = null): ApiError {
  return new ApiError(400, 'invalid_request_error', code, param, message);
}

/** 400: a known parameter that what serves here does not honour; taking it silently would give wrong answers. */
export function unsupportedParameter(param: string, message: string): ApiError {
  return badRequest(param, message, 'unsupported_parameter');
}

/** 400: the body is no JSON. */
export function invalidJson(message: string): ApiError {
  return badRequest(null, message, 'invalid_json');
}

/** 404: the model is not served here. */
export function notFoundModel(model: string, served: readonly string[]): ApiError {
  const message = `model: ${shown(model)} is not served here; served: ${served.join(', ')}`;
  return new ApiError(404, 'invalid_request_error', 'model_not_found', 'model', message);
}

/** 404: no such path. */
export function notFoundPath(method: string, path: string): ApiError {
  const message = `${shownBare(method)} ${shownBare(path)} does not exist; GET /openapi.json lists what does`;
  return new ApiError(404, 'not_found_error', 'unknown_url', null, message);
}

/** 405: the path exists, for other methods. */
export function methodNotAllowed(method: string, path: string, allowed: readonly string[]): ApiError {
  const message = `${shownBare(method)} is not allowed for ${shownBare(path)}; allowed: ${allowed.join(', ')}`;
  return new ApiError(405, 'invalid_request_error', 'method_not_allowed', null, message);
}

/** 401: no key, or a wrong one. */
export function unauthorized(): ApiError {
  const message = 'a valid API key is needed: header "Authorization: Bearer <key>"';
  return new ApiError(401, 'authentication_error', 'invalid_api_key', null, message);
}

/** 403: the key is good, but not for this. */
export function forbidden(message: string): ApiError {
  return new ApiError(403, 'permission_error', 'forbidden', null, message);
}

/** 403: the page of another origin asks. */
export function foreignOrigin(origin: string | undefined): ApiError {
  const got = origin === undefined ? 'a page of another site' : shown(origin);
  const message = `origin: ${got} may not ask here; expected: no page, one of this server, or an entry of cors_origins`;
  return new ApiError(403, 'permission_error', 'foreign_origin', null, message);
}

/** 403: a server on a loopback address is asked by a name that may be anyone's. */
export function hostNotAllowed(host: string): ApiError {
  const message = `host: ${shown(host)} is not a name of this server; expected: localhost, a loopback address or an entry of allowed_hosts`;
  return new ApiError(403, 'permission_error', 'host_not_allowed', null, message);
}

/** 400: HTTP that this server does not take. */
export function malformedHttp(message: string): ApiError {
  return badRequest(null, message, 'malformed_http');
}

/** 414: a part of the path is longer than any that exists. */
export function uriTooLong(charactersMax: number): ApiError {
  const message = `a part of the path is too long; expected: at most ${charactersMax} characters`;
  return new ApiError(414, 'invalid_request_error', 'uri_too_long', null, message);
}

/** 413: the body is larger than `bytesMax`. */
export function bodyTooLarge(bytesMax: number): ApiError {
  return new ApiError(413, 'invalid_request_error', 'body_too_large', null, `the body may have ${bytesMax} bytes`);
}

/** 415: the body is not what the header should say. */
export function unsupportedMediaType(contentType: string | null): ApiError {
  const got = contentType === null ? 'missing' : shown(contentType);
  const message = `content-type: ${got}; allowed: application/json`;
  return new ApiError(415, 'invalid_request_error', 'unsupported_media_type', null, message);
}

/** 429: this key asks for more than it may. */
export function rateLimited(message: string, retryAfterMs: number): ApiError {
  return new ApiError(429, 'rate_limit_error', 'rate_limit_exceeded', null, message, retryAfterMs);
}

/** 429: the queue is full; `retryAfterMs` is the predicted time until there is room. */
export function queueFull(waiting: number, waitingMax: number, retryAfterMs: number): ApiError {
  const message = `the queue is full: ${waiting} of ${waitingMax} requests wait; retry after ${retryAfterMs} ms`;
  return new ApiError(429, 'rate_limit_error', 'queue_full', null, message, retryAfterMs);
}

/** 503: not now, for a reason that passes: drain, restart of the engine, start-up. */
export function overloaded(code: string, message: string, retryAfterMs: number | null = null): ApiError {
  return new ApiError(503, 'overloaded_error', code, null, message, retryAfterMs);
}

/** 501: the endpoint is known and deliberately not served. */
export function notImplemented(message: string): ApiError {
  return new ApiError(501, 'not_supported_error', 'not_implemented', null, message);
}

/** 504: the request's own deadline passed. */
export function deadlineExceeded(message: string): ApiError {
  return new ApiError(504, 'timeout_error', 'deadline_exceeded', null, message);
}

/** 500: our fault; the message says nothing about the inside. */
export function serverError(code: string, message: string): ApiError {
  return new ApiError(500, 'server_error', code, null, message);
}

const SHOWN_CHARACTERS_MAX = 60;

/** A value as messages show it: JSON, cut after 60 characters, printable ASCII only. Never call it with a prompt. */
export function shown(value: unknown): string {
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const json =
    JSON.stringify(typeof value === 'string' ? value.slice(0, SHOWN_CHARACTERS_MAX + 1) : value) ?? 'undefined';
  return shownBare(json);
}

function shownBare(text: string): string {
  const cut = text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}...` : text;
  return cut.replace(/[^\x20-\x7e]/g, '?');
}
