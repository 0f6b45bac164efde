import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { build } from 'hdr-histogram-js';
import { assembleEngine, type BackendSpec, type OpenedBackend, openBackend } from '../../backends/open-backend.ts';
import { type EngineConfig, InvariantError } from '../../core/index.ts';
import type { AdminCall, InjectedFault, PlantedFault } from '../../gateway/engine-link.ts';
import { Guard } from '../../gateway/guard.ts';
import { attachMetricsPage, type CallbackSource, EngineMetrics } from '../../observability/index.ts';
import { type SequenceRecord, SpanRecorder } from '../../observability/spans/index.ts';
import { wallNs } from '../system-clock.ts';
import { readCommands } from './command-wire.ts';
import { DeviceWatch } from './device-watch.ts';
import { EngineDebugger, type EngineLogLine, watchSlowPhases } from './engine-debugger.ts';
import { EngineHost } from './engine-host.ts';
import { LiveTimeline } from './live-timeline.ts';
import { ReportWriter } from './report-wire.ts';
import { StatusPage } from './status-page.ts';

/** What the engine thread is started with; plain values and shared memory. */
export interface EngineThreadOptions {
  readonly engine: EngineConfig;
  readonly backend: BackendSpec;
  /** Wall seconds per engine second; 0 = as fast as the gateway reads. */
  readonly timeScale: number;
  readonly status: SharedArrayBuffer;
  readonly metrics: SharedArrayBuffer;
  /** A step that takes so many times the median is kept. */
  readonly slowStepFactor: number;
  /** The allocation log: events kept per block (0 = off), and whether with call stacks. */
  readonly allocationLog: { readonly eventsPerBlock: number; readonly stacks: boolean };
  /** Of the metric `engine_info`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** What spans are made of is kept and sent; null: it is not. */
  readonly spans?: { readonly tokenIds: boolean } | null;
}

/** What the gateway may order; `hang` is for tests of the watchdog. Draining is the gateway's own business: it sends nothing more. */
export type EngineOrder = Exclude<AdminCall, { readonly call: 'drain' }> | { readonly call: 'hang' };

/** Gateway to engine: an array of commands, or an order that is answered by its number. */
export type ToEngine = Float64Array | { readonly order: number; readonly call: EngineOrder };
/** Engine to gateway: the report of a step, or the answer to an order. */
export type FromEngine =
  | {
      readonly kind: 'report';
      readonly words: Int32Array;
      readonly floats: Float64Array | null;
      readonly endNs: number;
    }
  /** Of sequences that have ended, before the report that says so. */
  | { readonly kind: 'records'; readonly records: readonly SequenceRecord[] }
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'log' } & EngineLogLine)
  /** A callback of this thread threw, which is no failure of the engine. */
  | { readonly kind: 'callback-failed'; readonly source: CallbackSource; readonly error: unknown }
  | { readonly kind: 'answer'; readonly order: number; readonly value: unknown }
  /** `broken`: by an invariant; the thread ends. */
  | { readonly kind: 'refusal'; readonly order: number; readonly error: string; readonly broken: boolean };

/** Reports that the gateway has not read yet, before the engine waits for it. */
const REPORTS_AHEAD_MAX = 16;
/** Below this the thread waits by itself, since timers are a millisecond coarse. */
const TIMER_GRAIN_NS = 2e6;
/** The loop turns at least this often, so that its heartbeat shows that it lives. */
const IDLE_MS = 200;
/** Turns before the event loop gets its share. */
const TURNS_MAX = 64;
const SAMPLE_NS = 1e9;

/** The loop of the engine thread: commands in, due steps, reports out, wait. */
class EngineThread {
  private readonly port: MessagePort;
  private readonly host: EngineHost;
  private readonly opened: OpenedBackend;
  private readonly pace: PaceErrors;
  private readonly status: StatusPage;
  private readonly reports: ReportWriter;
  private readonly metrics: EngineMetrics;
  private readonly spans: SpanRecorder | null;
  private readonly records: SequenceRecord[] = [];
  private readonly device = new DeviceWatch();
  private readonly timeline: LiveTimeline;
  /** The gateway counts and reports: see `Guard`. */
  private readonly guard = new Guard(({ source, error }) => this.send({ kind: 'callback-failed', source, error }));
  private readonly debugger: EngineDebugger;
  private hangUntilNs = 0;
  private reportsSent = 0;
  private heartbeats = 0;
  private nextSampleNs = 0;
  private timer: NodeJS.Timeout | NodeJS.Immediate | null = null;

  constructor(port: MessagePort, options: EngineThreadOptions, opened: OpenedBackend, pace: PaceErrors) {
    this.port = port;
    this.opened = opened;
    this.pace = pace;
    this.status = new StatusPage(options.status);
    this.reports = new ReportWriter(opened.logprobs);
    const { engine: config } = options;
    const { backend, clock } = opened;
    this.metrics = new EngineMetrics(attachMetricsPage(options.metrics), {
      config,
      backend,
      labels: options.labels ?? {},
    });
    this.timeline = new LiveTimeline(options.slowStepFactor, this.guard);
    this.spans = options.spans ? this.recorder(config, options.spans.tokenIds) : null;
    const log = (line: EngineLogLine) => this.send({ kind: 'log', ...line });
    const slowPhases = watchSlowPhases(wallNs, log);
    const listeners = [this.metrics, this.device, slowPhases, ...this.timeline.events];
    const engine = assembleEngine(opened, {
      config,
      listeners: this.spans === null ? listeners : [...listeners, this.spans],
    });
    this.host = new EngineHost(engine, clock, this.reports);
    this.metrics.attach(engine);
    this.timeline.attach(engine);
    this.spans?.attach(engine);
    slowPhases.attach(engine);
    const { allocationLog } = options;
    const nowNs = () => clock.presentNs();
    this.debugger = new EngineDebugger(engine, { metrics: this.metrics, allocationLog, log, wallNs, nowNs });
    opened.simulation?.attach(engine);
    port.on('message', (message: ToEngine) => {
      this.receive(message);
      this.wake();
    });
    this.send({ kind: 'ready' });
    this.turn();
  }

  private recorder(config: EngineConfig, tokenIds: boolean): SpanRecorder {
    return new SpanRecorder({ config, wallNs, tokenIds, emit: (record) => this.records.push(record) });
  }

  private wake(): void {
    if (this.timer !== null) {
      clearTimeout(this.timer as NodeJS.Timeout);
      clearImmediate(this.timer as NodeJS.Immediate);
    }
    this.turn();
  }

  private turn(): void {
    for (let i = 0; i < TURNS_MAX; i++) {
      // A thread that is to hang reads nothing more.
      while (this.hangUntilNs === 0) {
        const held = receiveMessageOnPort(this.port);
        if (held === undefined) break;
        this.receive(held.message);
      }
      if (this.hangUntilNs > 0) this.hang();
      if (this.gatewayBehind()) continue;
      const ran = this.opened.clock.runDue();
      this.publish();
      this.report();
      if (ran) continue;
      const waitNs = this.opened.clock.untilNextNs();
      if (waitNs >= TIMER_GRAIN_NS) {
        this.timer = setTimeout(() => this.turn(), Math.min(IDLE_MS, Math.floor(waitNs / 1e6) - 1));
        return;
      }
      if (waitNs > 0) Atomics.wait(this.status.signals, 0, this.status.signals[0]!, waitNs / 1e6);
    }
    this.timer = setImmediate(() => this.turn());
  }

  private receive(message: ToEngine): void {
    if (message instanceof Float64Array) {
      this.host.now(() => readCommands(message, this.host));
      if (!this.reports.empty) this.publish();
      this.report();
      return;
    }
    this.answer(message.order, message.call);
  }

  /** Most orders are answered at once, some when they are done. */
  private answer(order: number, call: EngineOrder): void {
    const reply = (value: unknown) => {
      // A fault shows in the metrics as soon as its order is answered.
      if (call.call === 'inject-fault') this.nextSampleNs = 0;
      this.publish();
      this.send({ kind: 'answer', order, value });
    };
    const refuse = (failure: unknown) => {
      const broken = failure instanceof InvariantError;
      this.send({
        kind: 'refusal',
        order,
        error: failure instanceof Error ? failure.message : String(failure),
        broken,
      });
      // What such an engine computes is not to be trusted: its thread ends, and the gateway starts another.
      if (broken) throw failure;
    };
    let value: unknown;
    try {
      value = this.obey(call);
    } catch (failure) {
      refuse(failure);
      return;
    }
    if (value instanceof Promise) void value.then(reply, refuse);
    else reply(value);
  }

  /** What the order's answer carries: a plain value. */
  private obey(order: EngineOrder): unknown {
    const { engine } = this.host;
    switch (order.call) {
      case 'reset-prefix-cache':
        engine.kv.resetPrefixCache();
        return null;
      case 'check':
        engine.check(this.opened.clock.nowNs());
        return null;
      case 'inject-fault':
        return this.inject(order.fault);
      case 'hang':
        for (;;);
      case 'debug-state':
      case 'debug-audit':
      case 'debug-leaks':
      case 'debug-flight-recorder':
      case 'debug-block':
        return this.debugger.answer(order);
      default:
        return this.timeline.obey(order);
    }
  }

  private inject(fault: InjectedFault): PlantedFault | null {
    if (fault.kind === 'hang-thread') {
      this.hangUntilNs = wallNs() + fault.seconds * 1e9;
      return null;
    }
    const { simulation } = this.opened;
    if (simulation === null) throw new RangeError('only simulated devices have faults that can be injected');
    const { engine } = this.host;
    const request = engine.scheduler.running[0]?.request.id ?? null;
    const blocks = simulation.inject(fault, engine);
    return blocks === null ? null : { blocks, request };
  }

  /** A thread that hangs by order, once the order is answered. */
  private hang(): void {
    const word = new Int32Array(new SharedArrayBuffer(4));
    while (wallNs() < this.hangUntilNs) Atomics.wait(word, 0, 0, (this.hangUntilNs - wallNs()) / 1e6);
    this.hangUntilNs = 0;
  }

  /** Waits a moment for a gateway that has many reports to read; true when it still has. */
  private gatewayBehind(): boolean {
    const { signals } = this.status;
    const read = Atomics.load(signals, 1);
    if (((this.reportsSent - read) | 0) <= REPORTS_AHEAD_MAX) return false;
    Atomics.wait(signals, 1, read, 1);
    this.beat();
    return true;
  }

  private report(): void {
    this.sendRecords();
    if (this.reports.empty) return;
    this.reportsSent = (this.reportsSent + 1) | 0;
    this.port.postMessage({ kind: 'report', ...this.reports.take(wallNs()) } satisfies FromEngine);
  }

  private sendRecords(): void {
    if (this.spans === null) return;
    this.spans.flush();
    if (this.records.length > 0) this.send({ kind: 'records', records: this.records.splice(0) });
  }

  private beat(): void {
    this.status.set('heartbeats', ++this.heartbeats);
  }

  /** Before the report of what has happened: who has read that finds the state that goes with it. */
  private publish(): void {
    const { status } = this;
    const { engine } = this.host;
    const { pool } = engine.kv;
    this.beat();
    status.set('stepsDone', engine.totals.submissions + engine.totals.failedSubmissions);
    status.set('runningSequences', engine.scheduler.running.length);
    status.set('waitingSequences', engine.scheduler.waiting.size + engine.held);
    status.set('swappedSequences', engine.scheduler.swapped.size);
    status.set('blocksTotal', engine.config.blocksTotal);
    status.set('blocksUsed', pool.used);
    status.set('blocksCached', engine.kv.blocksCached);
    status.set('outputTokens', engine.totals.outputTokens);
    status.set('engineNs', this.opened.clock.nowNs());
    status.set('paceErrorLastNs', this.pace.lastNs);
    status.set('deviceLost', this.device.lost ? 1 : 0);
    const nowNs = wallNs();
    if (nowNs < this.nextSampleNs) return;
    this.nextSampleNs = nowNs + SAMPLE_NS;
    status.set('paceErrorP99Ns', this.pace.p99Ns);
    // The clock of an idle engine stands still: what is read over time must see the wall's time pass.
    this.host.now(this.sample);
    this.debugger.tick(nowNs);
  }

  private readonly sample = (): void =>
    this.guard.run('engine_sample', () => this.metrics.sample(this.opened.clock.nowNs()));

  private send(message: FromEngine): void {
    this.port.postMessage(message);
  }
}

/** How late the clock's tasks run on the wall clock, ns. */
class PaceErrors {
  private readonly errors = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LATE_MAX_NS,
    numberOfSignificantValueDigits: 2,
  });
  lastNs = 0;

  readonly late = (lateNs: number): void => {
    this.lastNs = lateNs;
    this.errors.recordValue(Math.min(lateNs, LATE_MAX_NS));
  };

  get p99Ns(): number {
    return this.errors.totalCount === 0 ? 0 : this.errors.getValueAtPercentile(99);
  }
}

const LATE_MAX_NS = 60e9;

/** Messages of the gateway wait in the port until the backend is open. */
async function startThread(port: MessagePort, options: EngineThreadOptions): Promise<void> {
  const { engine: config, backend, timeScale } = options;
  const pace = new PaceErrors();
  const time = { kind: 'wall', nowNs: wallNs, scale: timeScale, late: pace.late } as const;
  const opened = await openBackend(backend, { config, time, load: (url) => import(url) });
  new EngineThread(port, options, opened, pace);
}

await startThread(parentPort!, workerData as EngineThreadOptions);
