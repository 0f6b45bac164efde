import type { Socket } from 'node:net';
import cors from '@fastify/cors';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import {
  ApiError,
  bodyTooLarge,
  errorBody,
  forbidden,
  invalidJson,
  type JsonLimits,
  jsonText,
  methodNotAllowed,
  notFoundPath,
  openApiDocument,
  parseJsonText,
  serverError,
  unauthorized,
  unsupportedMediaType,
} from './api/index.ts';
import type { GatewayContext } from './context.ts';
import { loggedId } from './limits/log-options.ts';
import { LiveCalls } from './live-calls.ts';
import { nextTurn } from './next-turn.ts';
import { adminRoutes } from './routes/admin.ts';
import { alertRoutes } from './routes/alerts.ts';
import { dashboardRoutes } from './routes/dashboard.ts';
import { debugRoutes } from './routes/debug.ts';
import { debugRequestRoutes } from './routes/debug-requests.ts';
import { debugTraceRoutes } from './routes/debug-trace.ts';
import { generationRoutes } from './routes/generation.ts';
import { healthRoutes } from './routes/health.ts';
import { modelRoutes } from './routes/models.ts';
import { traceRequest } from './tracing/trace-request.ts';

const REQUEST_ID_PATTERN = /^[\x21-\x7e]{1,128}$/;
/** Answered without a key: what load balancers and scrapers ask, and the dashboard, which shows what scrapers get. */
const OPEN_PATHS = new Set([
  '/health',
  '/health/live',
  '/metrics',
  '/version',
  '/openapi.json',
  '/dashboard',
  '/dashboard/stream',
]);

/** The HTTP server, not yet listening. Errors are in OpenAI's shape whatever goes wrong, and name no inside. */
export async function createServer(context: GatewayContext): Promise<FastifyInstance> {
  const { settings } = context;
  let requests = 0;
  const app = Fastify({
    loggerInstance: context.log,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (logger, bindings, options) =>
      logger.child({ ...bindings, reqId: loggedId(String(bindings['reqId'])) }, options),
    bodyLimit: settings.bodyBytesMax,
    requestTimeout: settings.requestTimeoutMs,
    connectionTimeout: 0,
    keepAliveTimeout: 75_000,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    http: { headersTimeout: settings.headersTimeoutMs, maxHeaderSize: 16_384 },
    genReqId(raw) {
      const given = raw.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID_PATTERN.test(given) ? given : `req-${++requests}`;
    },
    clientErrorHandler(error, socket) {
      refuseConnection(error, socket);
    },
  });
  app.server.maxConnections = settings.connectionsMax;
  app.decorateRequest('key', null);
  app.decorateRequest('trace', null);
  if (settings.corsOrigins.length > 0) await app.register(cors, { origin: [...settings.corsOrigins], maxAge: 600 });
  const { keysMax, numbersMax } = context.served;
  jsonBodies(app, { depthMax: settings.bodyDepthMax, keysMax, numbersMax });
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    if (context.tracing !== null) traceRequest(context.tracing, request, reply);
    done(admit(context, request) ?? undefined);
  });
  app.setErrorHandler((error: FastifyError | ApiError, request, reply) => answerError(context, error, request, reply));
  app.setNotFoundHandler((request) => {
    throw missing(app, request);
  });
  const calls = new LiveCalls();
  healthRoutes(app, context);
  dashboardRoutes(app, context);
  modelRoutes(app, context);
  generationRoutes(app, context, calls);
  adminRoutes(app, context, calls);
  alertRoutes(app, context);
  debugTraceRoutes(app, context);
  debugRequestRoutes(app, context);
  debugRoutes(app, context, calls);
  const document = openApiDocument({ version: settings.version });
  app.get('/openapi.json', async () => document);
  return app;
}

/** Checks the key; the admin's endpoints want one of their own. */
function admit(context: GatewayContext, request: FastifyRequest): ApiError | null {
  const path = request.url.split('?', 1)[0]!;
  const { keys } = context;
  const admin = path.startsWith('/admin/') || path.startsWith('/debug/');
  if (request.method === 'OPTIONS' || OPEN_PATHS.has(path)) return null;
  const header = request.headers['x-api-key'];
  const entry = keys.authenticate(request.headers.authorization, typeof header === 'string' ? header : undefined);
  request.key = entry;
  if (admin) {
    if (entry !== null && entry.admin === true) return null;
    return keys.hasAdmin
      ? entry === null
        ? unauthorized()
        : forbidden('this key is not an admin key')
      : forbidden('admin endpoints need an admin key; none is configured (auth.keys with admin: true)');
  }
  if (keys.open || entry !== null) return null;
  return unauthorized();
}

/** Counting, parsing and reading such a body are not done in one turn of the event loop. */
const LARGE_BODY_BYTES = 1 << 18;

/** Bodies are JSON by their content type, parsed once, within limits that are counted before. */
function jsonBodies(app: FastifyInstance, limits: JsonLimits): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (_request: FastifyRequest, body: Buffer) => {
      const isLarge = body.length > LARGE_BODY_BYTES;
      const text = jsonText(body, limits);
      if (isLarge) await nextTurn();
      const value = parseJsonText(text);
      if (isLarge) await nextTurn();
      return value;
    },
  );
  app.addContentTypeParser('*', (request, payload, done) => {
    payload.resume();
    done(unsupportedMediaType(request.headers['content-type'] ?? null));
  });
}

function answerError(
  context: GatewayContext,
  error: FastifyError | ApiError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const known = error instanceof ApiError ? error : fromFastify(context, error, request);
  if (request.trace !== null) request.trace.errorType = String(known.code ?? known.status);
  if (known.retryAfterMs !== null) {
    reply.header('retry-after', Math.max(1, Math.ceil(known.retryAfterMs / 1000)));
    reply.header('retry-after-ms', Math.ceil(known.retryAfterMs));
  }
  // What is left of a body that was refused is not read: the connection cannot be used again.
  if (known.status === 413 || known.status === 415) reply.header('connection', 'close');
  if (known.status === 401) reply.header('www-authenticate', 'Bearer');
  void reply.code(known.status).send(errorBody(known));
}

function fromFastify(context: GatewayContext, error: FastifyError, request: FastifyRequest): ApiError {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return bodyTooLarge(context.settings.bodyBytesMax);
  if (error.code === 'FST_ERR_CTP_INVALID_CONTENT_LENGTH')
    return invalidJson('the body is shorter or longer than content-length says');
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return unsupportedMediaType(request.headers['content-type'] ?? null);
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500)
    return invalidJson('the request is malformed');
  if (error.statusCode === 503)
    return new ApiError(503, 'overloaded_error', 'draining', null, 'the server is going down');
  context.log.error({ reqId: loggedId(request.id), err: error }, 'request failed');
  return serverError('internal_error', 'the server failed to handle the request');
}

function missing(app: FastifyInstance, request: FastifyRequest): ApiError {
  const path = request.url.split('?', 1)[0]!;
  const allowed = (['GET', 'POST', 'DELETE'] as const).filter((method) => app.hasRoute({ method, url: path }));
  if (allowed.length > 0) return methodNotAllowed(request.method, path, allowed);
  return notFoundPath(request.method, path);
}

/** Bytes that are no HTTP request (bad framing, smuggling shapes, a header that never ends): one answer, then closed. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, reason] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? [408, 'Request Timeout']
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? [431, 'Request Header Fields Too Large']
        : [400, 'Bad Request'];
  const body = JSON.stringify({
    error: {
      message: `the request is malformed (${reason.toLowerCase()})`,
      type: 'invalid_request_error',
      param: null,
      code: 'malformed_http',
    },
  });
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}
