import type { ServerOptions } from 'node:http';
import cors from '@fastify/cors';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { AccessGuard, OPEN, requireAccess } from './access.ts';
import {
  ApiError,
  errorBody,
  type JsonLimits,
  jsonText,
  methodNotAllowed,
  notFoundPath,
  openApiDocument,
  overloaded,
  parseJsonText,
  serverError,
  unsupportedMediaType,
} from './api/index.ts';
import { Connections } from './connections.ts';
import type { GatewayContext } from './context.ts';
import { errorOfFramework, PATH_PART_CHARACTERS_MAX, refuseConnection, refuseInHttp } from './framework-errors.ts';
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

function httpOptions({ headersTimeoutMs, requestTimeoutMs }: GatewayContext['settings']): ServerOptions {
  return {
    headersTimeout: headersTimeoutMs,
    // fastify sets it later; Node compares the two when it makes the server.
    requestTimeout: requestTimeoutMs,
    maxHeaderSize: 16_384,
    // A request without Host is answered by a hook.
    requireHostHeader: false,
  };
}

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
    connectionTimeout: 0,
    keepAliveTimeout: 75_000,
    forceCloseConnections: 'idle',
    // Answered by a hook, in the shape of all errors.
    return503OnClosing: false,
    routerOptions: { maxParamLength: PATH_PART_CHARACTERS_MAX },
    requestTimeout: settings.requestTimeoutMs,
    http: httpOptions(settings),
    genReqId(raw) {
      const given = raw.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID_PATTERN.test(given) ? given : `req-${++requests}`;
    },
    clientErrorHandler(error, socket) {
      refuseConnection(error, socket);
    },
    // What the router refuses reaches no hook.
    frameworkErrors(error, request, reply) {
      reply.header('x-request-id', request.id);
      sendError(errorOf(context, error, request), reply);
    },
  });
  refuseInHttp(app.server);
  app.decorateRequest('key', null);
  app.decorateRequest('trace', null);
  const { keysMax, numbersMax } = context.served;
  jsonBodies(app, { depthMax: settings.bodyDepthMax, keysMax, numbersMax });
  requireAccess(app);
  await admission(app, context);
  new Connections(settings, context).attach(app);
  app.setErrorHandler((error: FastifyError | ApiError, request, reply) => answerError(context, error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    throw missing(app, request, reply);
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
  app.get('/openapi.json', OPEN, async () => document);
  return app;
}

/** Hooks that every request passes, in this order: where it comes from, what CORS says of it, its key. */
async function admission(app: FastifyInstance, context: GatewayContext): Promise<void> {
  const { settings } = context;
  const guard = new AccessGuard(context.keys, settings);
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    if (context.tracing !== null) traceRequest(context.tracing, request, reply);
    done(closing ? overloaded('draining', 'the server is going down') : (guard.checkSource(request) ?? undefined));
  });
  if (settings.corsOrigins.length > 0) {
    await app.register(cors, { origin: [...settings.corsOrigins], maxAge: 600, strictPreflight: false });
  }
  app.addHook('onRequest', (request, _reply, done) => done(guard.admit(request) ?? undefined));
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
  const known = errorOf(context, error, request);
  if (request.trace !== null) request.trace.errorType = String(known.code ?? known.status);
  sendError(known, reply);
}

function sendError(error: ApiError, reply: FastifyReply): void {
  const { status, code, retryAfterMs } = error;
  if (retryAfterMs !== null) {
    reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1000)));
    reply.header('retry-after-ms', Math.ceil(retryAfterMs));
  }
  // What is left of a body that was refused is not read: the connection cannot be used again.
  if (status === 413 || status === 415 || code === 'malformed_http') reply.header('connection', 'close');
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  void reply.code(status).send(errorBody(error));
}

function errorOf(context: GatewayContext, error: FastifyError | ApiError, request: FastifyRequest): ApiError {
  if (error instanceof ApiError) return error;
  const known = errorOfFramework(error, request, context.settings.bodyBytesMax);
  if (known !== null) return known;
  context.log.error({ reqId: loggedId(request.id), err: error }, 'request failed');
  return serverError('internal_error', 'the server failed to handle the request');
}

const METHODS = ['GET', 'HEAD', 'POST', 'DELETE'] as const;

/** Where the path has routes of other methods: these, by the router's own reading of the path. */
function missing(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply): ApiError {
  const methods = METHODS.filter((method) => app.findRoute({ method, url: request.url }) !== null);
  const path = request.url.split('?', 1)[0]!;
  if (methods.length === 0) return notFoundPath(request.method, path);
  reply.header('allow', methods.join(', '));
  return methodNotAllowed(request.method, path, methods);
}
