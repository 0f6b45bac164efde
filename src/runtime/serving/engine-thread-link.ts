import type { Worker } from 'node:worker_threads';
import { type FinishReason, type InvariantError, NONE } from '../../core/index.ts';
import {
  type AdminCall,
  EngineBrokenError,
  EngineDownError,
  type EngineLink,
  type EngineRequest,
  type EngineSink,
  type EngineState,
  type FinishDetail,
  type TokenLogprobs,
} from '../../gateway/engine-link.ts';
import type { Guard } from '../../gateway/guard.ts';
import { attachMetricsPage, type LostSequence, settleLostEngine } from '../../observability/index.ts';
import type { SequenceRecord } from '../../observability/spans/index.ts';
import { startThread } from '../thread-entry.ts';
import { CommandWriter } from './command-wire.ts';
import type { EngineLogLine } from './engine-debugger.ts';
import type { EngineThreadOptions, FromEngine, ToEngine } from './engine-thread.ts';
import { ReportInbox } from './report-inbox.ts';
import { StatusPage } from './status-page.ts';

export interface EngineThreadLinkOptions {
  /** Made anew for every start, but for the shared pages. */
  readonly thread: Omit<EngineThreadOptions, 'status'>;
  /** Work waits and no step has ended for so long: the thread is taken for hung and started again. ms. */
  readonly hangMs: number;
  /** Pause before the first restart; doubled with each further one in a row, up to `restartMaxMs`. */
  readonly restartMs: number;
  readonly restartMaxMs: number;
  readonly nowMs: () => number;
  readonly guard: Guard;
  /** Gets what spans are made of, before the report of the same step; without it the thread keeps nothing of that. */
  readonly traced?: { records(records: readonly SequenceRecord[]): void; engineLost(): void } | null;
  /** `broken`: the invariant that ended the thread, and the last steps. */
  readonly onEvent?: (
    event: 'restarting' | 'started' | 'crashed' | 'hung',
    detail: string,
    broken?: BrokenInvariant | null,
  ) => void;
  /** A line that the engine's thread has for the log. */
  readonly onLog?: (line: EngineLogLine) => void;
}

/** Fields of the core's InvariantError: between threads an error loses its class, not its own fields. */
type BrokenInvariant = Pick<InvariantError, 'law' | 'history'>;

/** A request that is with the engine: hands what comes to its sink, and keeps what is to be said of it if the engine is lost. */
class LiveRequest implements EngineSink {
  /** Sequences that have not ended. */
  left: number;
  private readonly sink: EngineSink;
  private readonly promptTokens: number;
  private readonly submittedNs: number;
  /** Per sequence; NaN = it has ended. */
  private readonly outputTokens: number[];

  constructor({ prompt, sampling }: EngineRequest, sink: EngineSink, submittedNs: number) {
    this.sink = sink;
    this.left = sampling.n;
    this.promptTokens = prompt.length;
    this.submittedNs = submittedNs;
    this.outputTokens = new Array<number>(sampling.n).fill(0);
  }

  tokens(index: number, ids: Int32Array, at: number, count: number, logprobs: TokenLogprobs | null): void {
    this.outputTokens[index]! += count;
    this.sink.tokens(index, ids, at, count, logprobs);
  }

  admitted(index: number, cachedPromptTokens: number): void {
    this.sink.admitted(index, cachedPromptTokens);
  }

  promptLogprobs(logprobs: TokenLogprobs): void {
    this.sink.promptLogprobs(logprobs);
  }

  finished(index: number, reason: FinishReason, detail: FinishDetail): void {
    this.outputTokens[index] = Number.NaN;
    this.sink.finished(index, reason, detail);
  }

  stepEnd(stepEndNs: number): void {
    this.sink.stepEnd(stepEndNs);
  }

  failed(): void {
    this.sink.failed();
  }

  /** The engine is gone: what has not ended does so as `error`. Adds it to `lost`. */
  lose(engineNs: number, lost: LostSequence[]): void {
    const ageSeconds = Math.max(0, engineNs - this.submittedNs) / 1e9;
    this.outputTokens.forEach((outputTokens, index) => {
      if (Number.isNaN(outputTokens)) return;
      lost.push({ promptTokens: this.promptTokens, outputTokens, ageSeconds });
      this.finished(index, 'error', { outputTokens, stopTokenId: NONE, rejection: null });
    });
    this.stepEnd(0);
  }
}

const WATCH_MS = 250;

/**
 * The engine in a thread of its own: commands of one turn of the event loop go out as one message, reports come in one per step.
 * A thread that crashes or hangs is replaced; the requests that it had end as `error`.
 */
export class EngineThreadLink implements EngineLink {
  state: EngineState = 'starting';
  readonly status = new StatusPage();
  restarts = 0;
  private readonly options: EngineThreadLinkOptions;
  private readonly requests = new Map<number, LiveRequest>();
  private readonly commands = new CommandWriter();
  private flushArmed = false;
  private worker: Worker | null = null;
  private readonly inbox: ReportInbox;
  private readonly answers = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  private orders = 0;
  private restartDelayMs: number;
  private restartAtMs = 0;
  private restartTimer: NodeJS.Timeout | null = null;
  /** The last thread has ended, and its shared memory is settled. */
  private buried: Promise<void> = Promise.resolve();
  private readonly watch: NodeJS.Timeout;
  private progress = 0;
  private heartbeats = 0;
  private heartbeatMs: number;
  private progressMs: number;
  private draining = false;
  private ready: { resolve: () => void; reject: (error: Error) => void } | null = null;

  constructor(options: EngineThreadLinkOptions) {
    this.options = options;
    this.restartDelayMs = options.restartMs;
    this.progressMs = options.nowMs();
    this.heartbeatMs = this.progressMs;
    this.inbox = new ReportInbox({
      nowMs: options.nowMs,
      guard: options.guard,
      sinkOf: (id) => this.requests.get(id),
      ended: (id) => this.ended(id),
      failed: (id, sink, error) => this.failOne(id, sink, error),
      records: (records) => options.traced?.records(records),
      acknowledge: () => this.acknowledge(),
    });
    this.watch = options.guard.every('engine_watch', WATCH_MS, () => this.watchProgress());
    this.watch.unref();
  }

  /** Starts the thread; resolves when the engine takes requests. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.ready = { resolve, reject };
      this.launch();
    });
  }

  get live(): number {
    return this.requests.size;
  }

  /** No step has ended for so long while requests were here, ms; 0 while all is well. */
  get stalledMs(): number {
    return this.requests.size === 0 ? 0 : this.options.nowMs() - this.progressMs;
  }

  get silentMs(): number {
    return this.options.nowMs() - this.heartbeatMs;
  }

  submit(request: EngineRequest, sink: EngineSink): void {
    if (this.state !== 'running') throw new EngineDownError(Math.max(100, this.restartAtMs - this.options.nowMs()));
    if (this.requests.size === 0) this.progressMs = this.options.nowMs();
    this.requests.set(request.id, new LiveRequest(request, sink, this.status.engineNs));
    this.commands.submit(request);
    this.arm();
  }

  abort(id: number): void {
    if (!this.requests.has(id)) return;
    this.commands.abort(id);
    this.arm();
  }

  finish(id: number, index: number, tokensKept: number): void {
    if (!this.requests.has(id)) return;
    this.commands.finish(id, index, tokensKept);
    this.arm();
  }

  /** No new requests from now on; those that are here go on. There is no way back. */
  beginDrain(): void {
    this.draining = true;
    if (this.state === 'running') this.state = 'draining';
  }

  admin(call: AdminCall | { readonly call: 'hang' }): Promise<unknown> {
    if (call.call === 'drain') {
      this.beginDrain();
      return Promise.resolve(null);
    }
    if (this.state !== 'running' && this.state !== 'draining') return Promise.reject(new EngineDownError(1000));
    const order = this.orders++;
    return new Promise((resolve, reject) => {
      this.answers.set(order, { resolve, reject });
      this.post({ order, call });
    });
  }

  /** Throws away the thread as it is: tests of what happens then. */
  kill(): void {
    void this.worker?.terminate();
  }

  async close(): Promise<void> {
    this.state = 'closed';
    clearInterval(this.watch);
    if (this.restartTimer !== null) clearTimeout(this.restartTimer);
    this.bury();
    await this.buried;
  }

  private launch(): void {
    this.status.clear();
    let worker: Worker;
    try {
      worker = startThread('engine-thread', import.meta.url, {
        workerData: { ...this.options.thread, status: this.status.buffer } satisfies EngineThreadOptions,
      });
    } catch (error) {
      // Without file descriptors or memory there is no thread: it is tried again.
      this.lost('crashed', (error as Error).message);
      return;
    }
    this.worker = worker;
    let failure = 'the thread ended';
    let broken: BrokenInvariant | null = null;
    worker.on('message', (message: FromEngine) => {
      if (this.worker === worker) this.options.guard.run('engine_message', () => this.receive(message));
    });
    worker.on('error', (error) => {
      failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (error instanceof Error && 'law' in error) broken = error as InvariantError;
    });
    worker.on('exit', () => {
      if (this.worker !== worker) return;
      this.options.guard.run('engine_reports', () => this.inbox.readAll());
      this.options.guard.run('engine_message', () => this.lost('crashed', failure, broken));
    });
  }

  private receive(message: FromEngine): void {
    if (message.kind === 'report' || message.kind === 'records') {
      if (message.kind === 'report') this.progressMs = this.options.nowMs();
      this.inbox.take(message);
    } else if (message.kind === 'callback-failed') {
      this.options.guard.failed(message.source, message.error);
    } else if (message.kind === 'log') {
      const { kind: _, ...line } = message;
      this.options.onLog?.(line);
    } else if (message.kind === 'answer' || message.kind === 'refusal') {
      const waiting = this.answers.get(message.order);
      this.answers.delete(message.order);
      if (message.kind === 'answer') waiting?.resolve(message.value);
      else waiting?.reject(message.broken ? new EngineBrokenError(message.error) : new Error(message.error));
    } else {
      this.state = this.draining ? 'draining' : 'running';
      this.progressMs = this.options.nowMs();
      this.options.onEvent?.('started', '');
      this.ready?.resolve();
      this.ready = null;
    }
  }

  private ended(id: number): void {
    const live = this.requests.get(id);
    if (live !== undefined && --live.left === 0) this.requests.delete(id);
  }

  /** The answer to one request cannot be written: it ends as an error, and the engine forgets it. */
  private failOne(id: number, sink: EngineSink, error: unknown): void {
    const { guard } = this.options;
    guard.failed('engine_reports', error);
    this.abort(id);
    this.requests.delete(id);
    guard.run('engine_reports', () => sink.failed());
    guard.run('engine_reports', () => sink.stepEnd(0));
  }

  private acknowledge(): void {
    const { signals } = this.status;
    Atomics.add(signals, 1, 1);
    Atomics.notify(signals, 1);
  }

  /** Steps that end reset the patience; so does a report (rejections, aborts). */
  private watchProgress(): void {
    if (this.state !== 'running' && this.state !== 'draining') return;
    const { stepsDone, heartbeats } = this.status;
    const nowMs = this.options.nowMs();
    if (heartbeats !== this.heartbeats) {
      this.heartbeats = heartbeats;
      this.heartbeatMs = nowMs;
    }
    if (stepsDone !== this.progress) {
      this.progress = stepsDone;
      this.progressMs = nowMs;
      this.restartDelayMs = this.options.restartMs;
    }
    if (this.stalledMs > this.options.hangMs)
      this.lost('hung', `no step has ended for ${Math.round(this.stalledMs)} ms`);
  }

  /** The thread is gone or given up: its requests end, and another is started after a pause. */
  private lost(how: 'crashed' | 'hung', detail: string, broken: BrokenInvariant | null = null): void {
    this.options.onEvent?.(how, detail, broken);
    if (this.state !== 'closed') this.state = 'restarting';
    this.bury();
    if (this.ready !== null) {
      this.ready.reject(new Error(`the engine thread did not start: ${detail}`));
      this.ready = null;
      this.state = 'closed';
      return;
    }
    if (this.state === 'closed') return;
    this.restarts++;
    this.restartAtMs = this.options.nowMs() + this.restartDelayMs;
    this.options.onEvent?.('restarting', `in ${this.restartDelayMs} ms`);
    this.restartTimer = this.options.guard.after('engine_restart', this.restartDelayMs, () => this.relaunch());
    this.restartDelayMs = Math.min(2 * this.restartDelayMs, this.options.restartMaxMs);
  }

  /** Not before the last thread has ended: two would write the same shared memory. */
  private async relaunch(): Promise<void> {
    await this.buried;
    if (this.state === 'restarting') this.launch();
  }

  /** Ends the thread and what was with it. Shared memory is settled when the thread writes no more. */
  private bury(): void {
    const { worker, buried } = this;
    this.worker = null;
    this.inbox.clear();
    const lost: LostSequence[] = [];
    const { engineNs } = this.status;
    // What it held is gone with it: it must not be read as the load until the next thread is there.
    this.status.clear();
    this.failAll(engineNs, lost);
    const settle = async () => {
      await worker?.terminate();
      await buried;
      this.status.clear();
      settleLostEngine(attachMetricsPage(this.options.thread.metrics), lost);
    };
    this.buried = settle();
  }

  private failAll(engineNs: number, lost: LostSequence[]): void {
    this.commands.take();
    const requests = [...this.requests.values()];
    this.requests.clear();
    for (const request of requests) {
      this.options.guard.run('engine_reports', () => request.lose(engineNs, lost));
    }
    this.options.traced?.engineLost();
    for (const { reject } of this.answers.values()) reject(new EngineDownError(this.options.restartMs));
    this.answers.clear();
  }

  private arm(): void {
    if (this.flushArmed) return;
    this.flushArmed = true;
    this.options.guard.soon('engine_commands', this.flush);
  }

  private readonly flush = (): void => {
    this.flushArmed = false;
    if (this.commands.empty || this.worker === null) return;
    this.worker?.postMessage(this.commands.take() satisfies ToEngine);
    this.signal();
  };

  private post(message: ToEngine): void {
    this.worker?.postMessage(message);
    this.signal();
  }

  /** Wakes a thread that waits for the next moment of its clock. */
  private signal(): void {
    const { signals } = this.status;
    Atomics.add(signals, 0, 1);
    Atomics.notify(signals, 0);
  }
}
