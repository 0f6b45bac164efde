import type { FastifyRequest } from 'fastify';
import type { GatewayOutcome } from '../../observability/index.ts';
import type { GenerationPlan, GenerationRun, Usage } from '../generation-run.ts';
import { generationFacts } from './generation-facts.ts';
import type { RequestTrace } from './request-trace.ts';
import type { RequestTracing } from './request-tracing.ts';

/** The part of a trace that a generation call adds. */
export class CallTrace {
  private readonly tracing: RequestTracing;
  private readonly trace: RequestTrace;
  private readonly user: string | null;

  private constructor(tracing: RequestTracing, trace: RequestTrace, user: string | null) {
    this.tracing = tracing;
    this.trace = trace;
    this.user = user;
  }

  /** null where the request is not traced; else `end` is called once. */
  static begin(tracing: RequestTracing | null, request: FastifyRequest, user: string | null): CallTrace | null {
    if (tracing === null || request.trace === null) return null;
    request.trace.running = true;
    return new CallTrace(tracing, request.trace, user);
  }

  submitted(engineId: number, sequences: number): void {
    this.tracing.submitted(this.trace, engineId, sequences);
  }

  /** `afterMs`: since the call came. */
  firstToken(afterMs: number): void {
    this.trace.firstTokenNs = afterMs * 1e6;
  }

  ran(plan: GenerationPlan, run: GenerationRun, usage: Usage, identity: { id: string; model: string }): void {
    this.trace.generation = generationFacts(plan, run, usage, identity, this.tracing.userId(this.user));
  }

  /** What it counts as; `word`: what became of it, where it was no success and no error has said more. */
  counted(outcome: GatewayOutcome, word: string): void {
    this.trace.outcome = outcome;
    if (outcome !== 'success') this.trace.errorType ??= word;
  }

  end(): void {
    this.tracing.callEnded(this.trace);
  }
}
