import type { FastifyReply, FastifyRequest } from 'fastify';
import { KEY, type RouteRegistry } from '../access.ts';
import { BodyOutput } from '../answer/body-output.ts';
import { shapeOf } from '../answer/shape-of.ts';
import { StreamOutput } from '../answer/stream-output.ts';
import {
  ApiError,
  badRequest,
  checkLength,
  type GenerationCall,
  overloaded,
  parseChat,
  parseCompletion,
  parseGenerate,
  queueFull,
  rateLimited,
} from '../api/index.ts';
import type { GatewayContext } from '../context.ts';
import {
  type CallOutcome,
  type CallOutput,
  type GenerationPlan,
  GenerationRun,
  type Usage,
} from '../generation-run.ts';
import { bodyFingerprint, retryMark } from '../limits/fingerprint.ts';
import type { Permit } from '../limits/rate-limit.ts';
import { outputTokensWithin } from '../limits/request-budget.ts';
import type { LiveCalls } from '../live-calls.ts';
import { nextTurn } from '../next-turn.ts';
import { CallTrace } from '../tracing/call-trace.ts';
import { encodePrompt } from './models.ts';

const TIMEOUT_HEADER = 'x-request-timeout-ms';
/** Of prompts that one turn of the event loop may tokenise: some 5 ms of ordinary text. */
const TURN_CHARACTERS = 16_384;
/** Names of unknown fields that are remembered. */
const UNKNOWN_FIELDS_MAX = 1000;

/** The endpoints that generate text. */
export function generationRoutes(app: RouteRegistry, context: GatewayContext, calls: LiveCalls): void {
  const generation = new Generation(context, calls);
  app.post('/v1/chat/completions', KEY, (request, reply) =>
    generation.answer(request, reply, parseChat(request.body, context.served)),
  );
  app.post('/v1/completions', KEY, (request, reply) =>
    generation.answer(request, reply, parseCompletion(request.body, context.served)),
  );
  app.post('/generate', KEY, (request, reply) =>
    generation.answer(request, reply, parseGenerate(request.body, context.served)),
  );
}

class Generation {
  private readonly context: GatewayContext;
  private readonly calls: LiveCalls;
  private nextRequestId = 1;
  private readonly unknownFields = new Set<string>();

  constructor(context: GatewayContext, calls: LiveCalls) {
    this.context = context;
    this.calls = calls;
  }

  /** Resolves when the answer is complete or has begun to stream. Throws ApiError before that. */
  async answer(request: FastifyRequest, reply: FastifyReply, call: GenerationCall): Promise<FastifyReply> {
    const { context } = this;
    const arrivedMs = context.nowMs();
    context.metrics.received();
    this.noteUnknown(call);
    const trace = CallTrace.begin(context.tracing, request, call.user);
    let permit: Permit | null = null;
    let settled = false;
    try {
      const held = this.permit(request);
      permit = held;
      const plan = await this.plan(request, call);
      this.enter(request, plan);
      await new Promise<void>((resolve, reject) => {
        const ended = (outcome: CallOutcome, usage: Usage) => {
          settled = true;
          held.release(usage.promptTokens + usage.outputTokens, context.nowMs());
          const counted = context.metrics.ended(outcome, call.kind, (context.nowMs() - arrivedMs) / 1000);
          trace?.counted(counted, outcome);
          resolve();
        };
        this.run(request, reply, plan, { arrivedMs, trace }, ended, reject);
      });
      return reply;
    } catch (error) {
      if (!settled) {
        permit?.release(0, context.nowMs());
        const code = error instanceof ApiError ? String(error.code ?? error.status) : 'internal_error';
        const counted = context.metrics.refused(code);
        trace?.counted(counted, code);
      }
      throw error;
    } finally {
      trace?.end();
    }
  }

  private run(
    request: FastifyRequest,
    reply: FastifyReply,
    plan: GenerationPlan,
    arrival: { readonly arrivedMs: number; readonly trace: CallTrace | null },
    ended: (outcome: CallOutcome, usage: Usage) => void,
    refused: (error: ApiError) => void,
  ): void {
    const { context } = this;
    const { arrivedMs, trace } = arrival;
    const { call } = plan;
    const sequences = plan.prompts.length * call.sampling.n;
    const id = `${prefixOf(call)}${call.requestId ?? request.id}`;
    const model = call.model ?? context.served.modelNames[0]!;
    const identity = { id, created: context.epochSeconds(), model };
    const cutOff = () => run.cancel();
    const { socket } = request.raw;
    const { tokenizer, settings } = context;
    const shape = shapeOf(call, identity, tokenizer);
    const output: CallOutput = call.stream
      ? new StreamOutput(reply, plan, shape, {
          tokenizer,
          bufferBytesMax: settings.streamBufferBytesMax,
          stepTimes: settings.stepTimes && request.headers['x-twinfer-step-times'] === '1',
          refused,
          cutOff,
          usageNow: () => run.usage,
        })
      : new BodyOutput(reply, plan, shape, tokenizer, refused);
    const run: GenerationRun = new GenerationRun(context.link, context.tokenizer, plan, output, {
      submitted: (id) => trace?.submitted(id, call.sampling.n),
      firstToken: () => {
        const afterMs = context.nowMs() - arrivedMs;
        context.metrics.firstToken(afterMs / 1000);
        trace?.firstToken(afterMs);
      },
      tokens: (count) => context.metrics.tokens(count),
      ended: (outcome, usage) => {
        this.calls.remove(identity.id, run);
        this.calls.remove(request.id, run);
        socket.off('close', cutOff);
        if (call.stream) context.metrics.streamClosed();
        context.shares.completed(request.key, sequences, context.nowMs());
        trace?.ran(plan, run, usage, identity);
        ended(outcome, usage);
      },
    });
    this.calls.add(identity.id, run, arrivedMs);
    if (request.id !== identity.id) this.calls.add(request.id, run, arrivedMs);
    // Of the connection, not of the response: one that waits behind another on its connection is told nothing.
    socket.setMaxListeners(0);
    socket.once('close', cutOff);
    context.shares.entered(request.key, sequences);
    if (call.stream) context.metrics.streamOpened();
    // The client may have left while its prompt was tokenised.
    if (socket.destroyed) cutOff();
    else run.start(() => context.names.add(this.nextRequestId++, identity.id, request.id, call.sampling.n));
  }

  /** Tokens, lengths, salt and deadline of a call. */
  private async plan(request: FastifyRequest, call: GenerationCall): Promise<GenerationPlan> {
    const { context } = this;
    const prompts: Int32Array[] = [];
    const outputTokensMax: number[] = [];
    const impliedOutputTokens: number[] = [];
    let characters = 0;
    for (const prompt of call.prompts) {
      const ids = await encodePrompt(context, prompt, call.addSpecialTokens);
      const checked = checkLength(ids, call, context.served);
      prompts.push(checked.ids);
      outputTokensMax.push(Math.max(1, checked.outputTokensMax));
      const open = call.outputTokensMax === null && !call.sampling.ignoreEos;
      impliedOutputTokens.push(
        open ? context.impliedOutputTokens(checked.ids, call.sampling.seed) : Number.POSITIVE_INFINITY,
      );
      // Short texts are tokenised on this thread: many of them take several turns of the event loop.
      characters += prompt.kind === 'text' ? prompt.text.length : 0;
      if (characters < TURN_CHARACTERS) continue;
      characters = 0;
      await nextTurn();
    }
    const tokensPerPrompt = prompts.map((ids) => ids.length);
    const room = outputTokensWithin(call, tokensPerPrompt, context.served);
    const reported = call.logprobs;
    const wantsPrompt =
      call.sampling.promptLogprobs !== null || (call.echo && call.kind !== 'chat' && reported !== null);
    return {
      call,
      prompts,
      outputTokensMax:
        call.outputTokensMax === null ? outputTokensMax.map((max) => Math.min(max, room)) : outputTokensMax,
      impliedOutputTokens,
      cacheSalt: context.salts.intern(request.key?.name ?? null, call.cacheSalt),
      tenant: context.shares.tenantOf(request.key),
      timeoutMs: timeoutOf(request, context.settings.generationTimeoutMs),
      logprobs: reported === null ? null : Math.max(1, reported),
      // The token itself comes first among the alternatives: at least that one is asked for.
      promptLogprobs: wantsPrompt ? Math.max(1, call.sampling.promptLogprobs ?? reported ?? 0) : null,
    };
  }

  /** Limits of the key: how often, how many at once. */
  private permit(request: FastifyRequest): Permit {
    const result = this.context.keyLimits.enter(request.key, this.context.nowMs());
    if (result.admitted) return result;
    throw rateLimited(result.message, result.retryAfterMs);
  }

  /** Room in the queue, or when there will be. */
  private enter(request: FastifyRequest, plan: GenerationPlan): void {
    const { shares, nowMs, link, settings } = this.context;
    const named = request.headers['idempotency-key'] ?? request.headers['x-request-id'];
    const name = typeof named === 'string' ? named : null;
    const admission = shares.arrive({
      key: request.key,
      nowMs: nowMs(),
      sequences: plan.prompts.length * plan.call.sampling.n,
      running: link.status.runningSequences,
      sequencesMax: settings.sequencesMax,
      isRetry: retryMark(request.headers['x-stainless-retry-count']),
      fingerprint: () => bodyFingerprint(request.key?.name ?? null, request.body, name),
    });
    if (admission.admitted) return;
    if (admission.status === 'share') throw rateLimited(admission.message, admission.retryAfterMs);
    if (admission.status === 429) throw queueFull(admission.waiting, shares.waitingMax, admission.retryAfterMs);
    throw overloaded(
      'overloaded',
      'the server is overloaded for longer than a client should wait',
      admission.retryAfterMs,
    );
  }

  /** The log gets the number of names that are new, never the names: a client may have written anything there. */
  private noteUnknown(call: GenerationCall): void {
    const { unknownFields } = this;
    const before = unknownFields.size;
    for (const field of call.unknownFields) if (unknownFields.size < UNKNOWN_FIELDS_MAX) unknownFields.add(field);
    const fields = unknownFields.size - before;
    if (fields === 0) return;
    this.context.log.warn(
      { fields, endpoint: call.kind },
      'unknown request fields are ignored (logged once per field, up to 1000)',
    );
  }
}

function prefixOf(call: GenerationCall): string {
  return call.kind === 'chat' ? 'chatcmpl-' : call.kind === 'completion' ? 'cmpl-' : 'gen-';
}

/** The client may ask for less than the server's limit. */
function timeoutOf(request: FastifyRequest, limitMs: number | null): number | null {
  const header = request.headers[TIMEOUT_HEADER];
  if (header === undefined) return limitMs;
  const asked = typeof header === 'string' && header.trim() !== '' ? Number(header) : Number.NaN;
  if (!(Number.isFinite(asked) && asked > 0))
    throw badRequest(
      TIMEOUT_HEADER,
      `header ${TIMEOUT_HEADER}: allowed is a number of milliseconds above 0`,
      'invalid_value',
    );
  return limitMs === null ? asked : Math.min(asked, limitMs);
}
