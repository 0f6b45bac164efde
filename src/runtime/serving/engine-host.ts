import {
  ArrayTokens,
  type DrivenClock,
  type Engine,
  type FinishReason,
  NONE,
  Request,
  type Sequence,
  type Task,
  type TokenSink,
} from '../../core/index.ts';
import type { EngineRequest } from '../../gateway/engine-link.ts';
import type { CommandHandler } from './command-wire.ts';
import type { ReportWriter } from './report-wire.ts';

/** An engine with what turns commands into calls and its tokens into reports. */
export class EngineHost implements CommandHandler {
  readonly engine: Engine;
  private readonly clock: DrivenClock;
  private readonly reports: ReportWriter;

  constructor(engine: Engine, clock: DrivenClock, reports: ReportWriter) {
    this.engine = engine;
    this.clock = clock;
    this.reports = reports;
  }

  submit(request: EngineRequest): void {
    const nowNs = this.clock.nowNs();
    const fields = {
      ...request,
      prompt: new ArrayTokens(request.prompt),
      timeoutNs: this.clock.durationNs(request.timeoutNs),
    };
    const rejection = this.engine.submit(new Request(request.id, nowNs, fields), new ReportSink(this.reports, request));
    if (rejection === null) return;
    for (let index = 0; index < request.sampling.n; index++) {
      this.reports.finished(request.id, index, 'rejected', { outputTokens: 0, stopTokenId: NONE, rejection });
    }
  }

  abort(id: number): void {
    this.engine.abort(id);
  }

  finish(id: number, index: number, tokensKept: number): void {
    this.engine.finish(id, index, tokensKept);
  }

  /** Runs `work` at the engine time that the wall clock gives. */
  now(work: () => void): void {
    const task: Task = { run: work };
    this.clock.runNow(task);
  }
}

/** Writes what happens to a request's sequences into the report of the step. */
class ReportSink implements TokenSink {
  private readonly reports: ReportWriter;
  private readonly request: EngineRequest;

  constructor(reports: ReportWriter, request: EngineRequest) {
    this.reports = reports;
    this.request = request;
  }

  tokens(sequence: Sequence, from: number, count: number): void {
    const { id, prompt, sampling } = this.request;
    if (from === 0) {
      this.reports.admitted(id, sequence.index, sequence.cachedPromptTokens);
      if (sampling.promptLogprobs !== null && sequence.index === 0)
        this.reports.prompt(id, prompt, sampling.promptLogprobs);
    }
    const before = prompt[prompt.length - 1]!;
    this.reports.tokens(id, sequence.index, sequence.output!, from, count, sampling.logprobs, before);
  }

  finished(sequence: Sequence, reason: FinishReason): void {
    if (reason === 'rejected') return; // reported with its reason by the caller
    const { output, outputTokens } = sequence;
    const stopTokenId = reason === 'stop' && output !== null && outputTokens > 0 ? output[outputTokens - 1]! : NONE;
    this.reports.finished(this.request.id, sequence.index, reason, { outputTokens, stopTokenId, rejection: null });
  }
}
