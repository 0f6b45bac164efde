import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  PerfettoExport,
  readTimeline,
  type SlowStepsReport,
  type StepRecord,
  type StepTrace,
} from '../../observability/timeline/index.ts';
import { DEBUG, type RouteRegistry } from '../access.ts';
import { ApiError, badRequest, overloaded, shown } from '../api/api-error.ts';
import type { GatewayContext } from '../context.ts';
import { EngineDownError, type TimelineCall } from '../engine-link.ts';
import { nextTurn } from '../next-turn.ts';
import type { RequestNames } from '../request-names.ts';
import type { RequestTracing } from '../tracing/request-tracing.ts';

const SECONDS_MAX = 60;

/** What the engine is doing, step by step: a trace on demand, and the steps that took much longer than usual. */
export function debugTraceRoutes(app: RouteRegistry, context: GatewayContext): void {
  const { names } = context;
  let running = false;

  app.post('/debug/trace', DEBUG, async (request, reply) => {
    const seconds = secondsOf(request);
    if (running)
      throw new ApiError(
        409,
        'invalid_request_error',
        'trace_running',
        null,
        'a trace is being recorded; one at a time',
      );
    running = true;
    try {
      const chunks = await record(context, request, seconds);
      if (chunks === null) return reply;
      return send(context, names, reply, chunks, seconds);
    } finally {
      running = false;
    }
  });

  app.get('/debug/slow_steps', DEBUG, async (request) => {
    allowNoQuery(request);
    const report = (await askEngine(context, { call: 'slow-steps' })) as SlowStepsReport;
    return slowSteps(report, names);
  });
}

/** Asks the engine's timeline. Throws ApiError 503 while there is no engine, and when it goes down before it has answered. */
export async function askEngine(context: GatewayContext, call: TimelineCall): Promise<unknown> {
  try {
    return await context.link.admin(call);
  } catch (error) {
    if (!(error instanceof EngineDownError)) throw error;
    throw overloaded('engine_down', 'the engine went down, or is being started again', error.retryAfterMs);
  }
}

/** Throws ApiError for any query. */
export function allowNoQuery(request: FastifyRequest): void {
  const [name] = Object.keys(request.query as object);
  if (name !== undefined) throw badRequest(name, `${shown(name)}: unknown query parameter; allowed: none`);
}

function secondsOf(request: FastifyRequest): number {
  const { seconds, ...others } = request.query as Record<string, unknown>;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw badRequest(unknown, `${shown(unknown)}: unknown query parameter; allowed: seconds`);
  const value = typeof seconds === 'string' && seconds.trim() !== '' ? Number(seconds) : Number.NaN;
  if (value > 0 && value <= SECONDS_MAX) return value;
  const got = seconds === undefined ? 'is missing' : `${shown(seconds)} is not allowed`;
  throw badRequest('seconds', `seconds: ${got}; allowed: a number above 0, at most ${SECONDS_MAX}`);
}

/** Records for so many seconds; null = the client has left meanwhile, which ends the recording. */
async function record(context: GatewayContext, request: FastifyRequest, seconds: number): Promise<StepTrace | null> {
  const { socket } = request.raw;
  let gone = socket.destroyed;
  const leave = () => {
    gone = true;
    // An engine that is down has no trace to stop.
    context.link.admin({ call: 'stop-trace' }).catch(() => {});
  };
  socket.once('close', leave);
  context.tracing?.beginSteps();
  try {
    const trace = (await askEngine(context, { call: 'trace', seconds })) as StepTrace;
    if (context.tracing !== null) await emitSpans(context.tracing, trace);
    return gone ? null : trace;
  } finally {
    context.tracing?.endSteps();
    socket.off('close', leave);
  }
}

/** A root span for each step, with links to the requests in it. */
async function emitSpans(tracing: RequestTracing, { chunks, lengths, wallNs }: StepTrace): Promise<void> {
  let at = 0;
  let lastNs = 0;
  for (const [i, words] of chunks.entries()) {
    for (const record of readTimeline(words, lengths[i]!)) {
      if (record.kind !== 'step') continue;
      const endNs = wallNs[at + 1]!;
      tracing.step(record, { startNs: Math.min(Math.max(wallNs[at]!, lastNs), endNs), endNs });
      lastNs = endNs;
      at += 2;
    }
    await nextTurn();
  }
}

function send(
  context: GatewayContext,
  names: RequestNames,
  reply: FastifyReply,
  chunks: StepTrace,
  seconds: number,
): FastifyReply {
  const name = `twinfer-trace-${context.epochSeconds()}.json`;
  const about = { version: context.settings.version, backend: context.settings.backend, asked_seconds: seconds };
  return reply
    .header('content-type', 'application/json; charset=utf-8')
    .header('content-disposition', `attachment; filename="${name}"`)
    .send(Readable.from(perfettoText(chunks, names, about)));
}

/** A chunk of records at a time: others want this thread as well. */
async function* perfettoText(
  { chunks, lengths }: StepTrace,
  names: RequestNames,
  about: Readonly<Record<string, unknown>>,
): AsyncGenerator<string> {
  let ready: string[] = [];
  const exported = new PerfettoExport({ write: (text) => ready.push(text), nameOf: names.nameOf, about });
  for (const [i, words] of chunks.entries()) {
    exported.take(words, lengths[i]!);
    yield* ready;
    ready = [];
    await nextTurn();
  }
  exported.close();
  yield* ready;
}

function slowSteps(report: SlowStepsReport, names: RequestNames) {
  return {
    factor: report.factor,
    median_ms: report.medianNs === null ? null : ms(report.medianNs),
    steps_seen: report.steps,
    slow_steps: report.slow
      .flatMap(({ words, medianNs }) =>
        [...readTimeline(words)].map((record) => slowStep(record as StepRecord, medianNs, names)),
      )
      .reverse(),
  };
}

function slowStep(step: StepRecord, medianNs: number, names: RequestNames) {
  const durationNs = (step.endNs - step.startNs) / step.stepsRun;
  return {
    step: step.step,
    ended_at_engine_seconds: step.endNs / 1e9,
    duration_ms: ms(durationNs),
    times_median: Math.round((10 * durationNs) / medianNs) / 10,
    host_ms: ms(step.hostNs),
    host_phases_ms: Object.fromEntries(Object.entries(step.hostPhasesNs).map(([phase, ns]) => [phase, ms(ns)])),
    prefill_tokens: step.prefillTokens,
    prefill_rows: step.prefillRows,
    decode_tokens: step.decodeTokens,
    decode_rows: step.decodeRows,
    running: step.running,
    waiting: step.waiting,
    swapped: step.swapped,
    head_waits_for: step.waitReason,
    new_blocks: step.newBlocks,
    evictions: step.evictions,
    rows: step.rows.map((row) => ({ request: names.nameOf(row), context: row.context, tokens: row.tokens })),
  };
}

function ms(ns: number): number {
  return Math.round(ns / 1e3) / 1e3;
}
