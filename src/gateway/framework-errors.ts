import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyRequest } from 'fastify';
import {
  ApiError,
  bodyTooLarge,
  errorBody,
  invalidJson,
  malformedHttp,
  methodNotAllowed,
  overloaded,
  unsupportedMediaType,
  uriTooLong,
} from './api/index.ts';

/** Longest value of a path's parameter: an id of a request, or a model's name with all its characters encoded. */
export const PATH_PART_CHARACTERS_MAX = 1024;

/** What fastify refuses by itself, as an error of this API; null = a failure of the server. */
export function errorOfFramework(error: FastifyError, request: FastifyRequest, bodyBytesMax: number): ApiError | null {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return bodyTooLarge(bodyBytesMax);
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return invalidJson('the body is shorter or longer than content-length says');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return unsupportedMediaType(request.headers['content-type'] ?? null);
    case 'FST_ERR_BAD_URL':
      return malformedHttp('the path is malformed; expected: percent-encoded UTF-8');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return uriTooLong(PATH_PART_CHARACTERS_MAX);
  }
  const { statusCode } = error;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return invalidJson('the request is malformed');
  return statusCode === 503 ? overloaded('draining', 'the server is going down') : null;
}

/** What Node answers before there is a request for fastify: an expectation that is not 100-continue, and a tunnel. */
export function refuseInHttp(server: Server): void {
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    const error = new ApiError(
      417,
      'invalid_request_error',
      'unknown_expectation',
      null,
      'header expect: is not known here; expected: 100-continue, or none',
    );
    const body = JSON.stringify(errorBody(error));
    // A body may follow that is not wanted.
    response.writeHead(417, { ...headersOf(body), connection: 'close' }).end(body);
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => socket.destroy());
    endWith(socket, methodNotAllowed('CONNECT', 'any path', ['GET', 'HEAD', 'POST']));
  });
}

/** Bytes that are no HTTP request (bad framing, smuggling shapes, a header that never ends): one answer, then closed. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
  const message = `the request is malformed (${STATUS_CODES[status]!.toLowerCase()})`;
  endWith(socket, new ApiError(status, 'invalid_request_error', 'malformed_http', null, message));
}

function headersOf(body: string): Record<string, string> {
  return { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
}

function endWith(socket: Duplex, error: ApiError): void {
  const body = JSON.stringify(errorBody(error));
  const lines = Object.entries({ ...headersOf(body), connection: 'close' }).map(([name, value]) => `${name}: ${value}`);
  socket.end(`HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
}
