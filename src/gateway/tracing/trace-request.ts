import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestTracing } from './request-tracing.ts';

/** Begins the trace of a request that has just come; it ends with its response, or with its connection. */
export function traceRequest(tracing: RequestTracing, request: FastifyRequest, reply: FastifyReply): void {
  const trace = tracing.begin(request);
  if (trace === null) return;
  request.trace = trace;
  reply.header('traceparent', tracing.responseHeader(trace));
  const response = reply.raw;
  const { socket } = request.raw;
  const ended = () => {
    response.off('close', ended);
    socket.off('close', ended);
    trace.http = {
      method: request.method,
      route: request.routeOptions.url ?? null,
      statusCode: response.headersSent ? response.statusCode : null,
    };
    tracing.end(trace);
  };
  response.once('close', ended);
  // A response that waits behind another on its connection is told nothing when that closes.
  socket.setMaxListeners(0);
  socket.once('close', ended);
}
