import { APIError } from 'openai';
import { describe, expect, it } from 'vitest';
import {
  type ApiError,
  badRequest,
  bodyTooLarge,
  deadlineExceeded,
  errorBody,
  forbidden,
  methodNotAllowed,
  notFoundModel,
  notFoundPath,
  notImplemented,
  overloaded,
  queueFull,
  rateLimited,
  serverError,
  shown,
  unauthorized,
  unsupportedMediaType,
  unsupportedParameter,
} from '../../../src/gateway/api/index.ts';

const ERRORS: readonly (readonly [ApiError, number, string, string])[] = [
  [badRequest('n', 'n: got 0'), 400, 'BadRequestError', 'invalid_request_error'],
  [unsupportedParameter('suffix', 'not served'), 400, 'BadRequestError', 'invalid_request_error'],
  [unauthorized(), 401, 'AuthenticationError', 'authentication_error'],
  [forbidden('no admin key'), 403, 'PermissionDeniedError', 'permission_error'],
  [notFoundModel('gpt', ['m']), 404, 'NotFoundError', 'invalid_request_error'],
  [notFoundPath('GET', '/x'), 404, 'NotFoundError', 'not_found_error'],
  [methodNotAllowed('PUT', '/v1/models', ['GET']), 405, 'APIError', 'invalid_request_error'],
  [bodyTooLarge(10), 413, 'APIError', 'invalid_request_error'],
  [unsupportedMediaType('text/html'), 415, 'APIError', 'invalid_request_error'],
  [rateLimited('too many', 500), 429, 'RateLimitError', 'rate_limit_error'],
  [queueFull(8, 8, 1500), 429, 'RateLimitError', 'rate_limit_error'],
  [serverError('internal_error', 'failed'), 500, 'InternalServerError', 'server_error'],
  [notImplemented('no embeddings'), 501, 'InternalServerError', 'not_supported_error'],
  [overloaded('draining', 'going down', 100), 503, 'InternalServerError', 'overloaded_error'],
  [deadlineExceeded('too late'), 504, 'InternalServerError', 'timeout_error'],
];

describe('an error', () => {
  it.each(ERRORS)('%s becomes the exception of its status in the openai client', (error, status, name, type) => {
    const body = errorBody(error);
    const thrown = APIError.generate(error.status, body, undefined, new Headers());
    expect(thrown.constructor.name).toBe(name);
    expect([error.status, error.type]).toEqual([status, type]);
    expect([thrown.code, thrown.param, thrown.type]).toEqual([error.code, error.param, error.type]);
    expect(thrown.message).toContain(error.message);
  });

  it('says when to come again', () => {
    expect(queueFull(8, 8, 1500).retryAfterMs).toBe(1500);
    expect(unauthorized().retryAfterMs).toBeNull();
  });

  it.each([
    ['a'.repeat(1000), 70],
    ['\n\u0000\u202eé', 30],
    [Number.POSITIVE_INFINITY, 10],
    [{ a: 1 }, 10],
    [undefined, 10],
    [[1, 2], 12],
  ])('shows %j short and printable', (value, lengthMax) => {
    expect(shown(value).length).toBeLessThanOrEqual(lengthMax);
    expect(shown(value)).toMatch(/^[\x20-\x7e]+$/);
  });

  it('does not repeat a path or method that could carry anything', () => {
    expect(notFoundPath('GET', `/${'\u0007x'.repeat(500)}`).message.length).toBeLessThan(200);
  });
});
