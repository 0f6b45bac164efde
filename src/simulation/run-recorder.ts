import {
  type EngineEvents,
  type FinishReason,
  type HostPhase,
  NONE,
  type PreemptionReason,
  type RejectionReason,
  type Request,
  type Sequence,
  type StepPlan,
  type StepResult,
  type WaitReason,
} from '../core/index.ts';
import { type DigestMode, RunDigest } from './digest.ts';
import type { Frontend } from './frontend.ts';
import { LatencySeries, type LatencySummary } from './latency-series.ts';
import type { RequestRecords } from './report/request-records.ts';
import { RequestBooks, type RequestCounts } from './request-books.ts';
import { type KvGauges, type Queues, type TimeSeries, TimeSeriesBuilder } from './time-series.ts';
import { TokenBooks, type TokenCounts } from './token-books.ts';

export interface RunRecorderOptions {
  readonly gauges: KvGauges;
  readonly digest: DigestMode;
  /** Told of every finished sequence; null = nobody wants the records. */
  readonly records: RequestRecords | null;
  /** What lies between client and engine: TTFT, TPOT and E2E are then the client's. null: nothing does. */
  readonly frontend?: Frontend | null;
}

/** The series of a run; each value in nanoseconds. */
export type LatencyName = 'ttft' | 'tpot' | 'itl' | 'e2e' | 'queue' | 'schedulerIteration' | 'schedulerAllocation';

/** What a run did, as plain data. Times are nanoseconds of simulated time. */
export interface RecordedRun {
  readonly digest: string;
  readonly digestMode: DigestMode;
  /** End of the last step or the last event, whichever is later. */
  readonly simulatedNs: number;
  /** Steps; a run of steps counts as its single steps. */
  readonly steps: number;
  /** Submissions to the backend, failed ones included. */
  readonly submissions: number;
  readonly failedSubmissions: number;
  /** Sum over steps of the sequences in them. */
  readonly sequenceSteps: number;
  readonly requests: RequestCounts;
  readonly rejections: Readonly<Partial<Record<RejectionReason, number>>>;
  readonly tokens: TokenCounts;
  /** Of the longest sequence, prompt and output. */
  readonly sequenceTokensMax: number;
  readonly latencyNs: Readonly<Record<LatencyName, LatencySummary>>;
  readonly peaks: { readonly running: number; readonly waiting: number; readonly swapped: number };
  readonly kv: {
    readonly blocksTotal: number;
    readonly blocksUsedPeak: number;
    /** Mean over simulated time. */
    readonly blocksUsedMean: number;
    readonly evictions: number;
  };
  readonly preemptions: { readonly memoryPressure: number; readonly priority: number; readonly swapped: number };
  readonly timeSeries: TimeSeries;
}

/**
 * Listens to an engine and keeps what is said of its run: sums, percentiles, series over time and the digest. Memory does
 * not grow with the run. It needs no token sink (`NO_SINK` will do): everything comes by events, none of them per token.
 *
 * `attach` must be called before the first sequence finishes, and the engine must report `finished` while the sequence
 * still holds its slot and its row of the block tables.
 */
export class RunRecorder implements EngineEvents {
  private readonly gauges: KvGauges;
  private readonly digest: RunDigest;
  private readonly records: RequestRecords | null;
  private readonly frontend: Frontend | null;
  private readonly timeSeries: TimeSeriesBuilder;
  private readonly requestBooks = new RequestBooks();
  private readonly tokenBooks = new TokenBooks();
  private readonly ttft = new LatencySeries();
  private readonly tpot = new LatencySeries();
  private readonly itl = new LatencySeries();
  private readonly e2e = new LatencySeries();
  private readonly queue = new LatencySeries();
  private readonly schedulerIteration = new LatencySeries();
  private readonly schedulerAllocation = new LatencySeries();

  private tables: Int32Array = new Int32Array(0);
  private tableStride = 0;

  private readonly queues: Queues = { waiting: 0, swapped: 0, blocksUsed: 0 };
  private closed = false;
  private nowNs = 0;
  private steps = 0;
  private submissions = 0;
  private failedSubmissions = 0;
  private sequenceSteps = 0;
  private sequenceTokensMax = 0;
  private runningPeak = 0;
  private waitingPeak = 0;
  private swappedPeak = 0;
  private blocksUsedPeak = 0;
  /** Integral of used blocks over the time of steps. */
  private blocksUsedNs = 0;
  private evictions = 0;
  private memoryPressure = 0;
  private priority = 0;
  private swaps = 0;

  constructor(options: RunRecorderOptions) {
    this.gauges = options.gauges;
    this.digest = new RunDigest(options.digest, options.gauges.blocksTotal);
    this.records = options.records;
    this.frontend = options.frontend ?? null;
    this.timeSeries = new TimeSeriesBuilder(options.gauges);
  }

  /** Where the block ids of finished sequences are read: row r begins at r * stride. Call it again when tables are replaced. */
  attach(tables: Int32Array, stride: number): void {
    this.tables = tables;
    this.tableStride = stride;
  }

  received(sequence: Sequence, nowNs: number): void {
    this.nowNs = nowNs;
    if (sequence.index > 0) return;
    this.requestBooks.received(sequence.request);
    this.timeSeries.arrived(nowNs);
  }

  rejected(request: Request, reason: RejectionReason, nowNs: number): void {
    this.nowNs = nowNs;
    this.requestBooks.rejected(request, reason);
    this.timeSeries.arrived(nowNs);
  }

  admitted(
    _sequence: Sequence,
    _hitTokens: number,
    _blocksAllocated: number,
    _resumed: boolean,
    _nowNs: number,
  ): void {}

  preempted(_sequence: Sequence, reason: PreemptionReason, swapped: boolean, nowNs: number): void {
    if (reason === 'priority') this.priority++;
    else this.memoryPressure++;
    if (swapped) this.swaps++;
    this.readUsed();
    this.timeSeries.preempted(nowNs);
  }

  evicted(blocks: Int32Array, count: number, nowNs: number): void {
    this.evictions += count;
    this.digest.evicted(blocks, count);
    this.timeSeries.evicted(count, nowNs);
  }

  stepPlanned(_plan: StepPlan, waiting: number, swapped: number, _reason: WaitReason | null, _nowNs: number): void {
    const queues = this.queues;
    queues.waiting = waiting;
    queues.swapped = swapped;
    if (waiting > this.waitingPeak) this.waitingPeak = waiting;
    if (swapped > this.swappedPeak) this.swappedPeak = swapped;
    this.readUsed();
  }

  hostPhase(phase: HostPhase, ns: number, count: number): void {
    if (phase === 'admit_waiting') this.schedulerAllocation.observe(ns, count);
  }

  stepFinished(
    plan: StepPlan,
    result: StepResult,
    startNs: number,
    endNs: number,
    gapRows: number,
    leadNs: number,
  ): void {
    this.nowNs = endNs;
    this.submissions++;
    this.digest.step(plan, result);
    if (result.status !== 'ok') {
      this.failedSubmissions++;
      return;
    }
    const steps = result.stepsRun;
    this.steps += steps;
    this.sequenceSteps += steps * plan.rows;
    if (plan.rows > this.runningPeak) this.runningPeak = plan.rows;
    this.blocksUsedNs += this.queues.blocksUsed * (endNs - startNs);
    this.schedulerIteration.observe(plan.hostNs, 1);
    if (steps > 1) this.schedulerIteration.observe(plan.laterHostNs, steps - 1);
    const gapMaxNs = this.itl.observeRun(result.durationsNs, steps, leadNs, gapRows);
    this.timeSeries.stepped(plan, result, startNs, endNs, gapRows, leadNs, gapMaxNs, this.queues);
    this.readUsed();
  }

  tokenGap(gapNs: number, count: number): void {
    this.itl.observe(gapNs, count);
    this.timeSeries.gap(gapNs, count, this.nowNs);
  }

  finished(sequence: Sequence, nowNs: number): void {
    this.nowNs = nowNs;
    const reason = sequence.finishReason!;
    this.readUsed();
    this.digest.request(sequence, this.tables, this.tableStride);
    if (this.records !== null) this.records.add(sequence);
    this.requestBooks.finished(sequence, reason);
    this.tokenBooks.add(sequence);
    if (sequence.knownTokens > this.sequenceTokensMax) this.sequenceTokensMax = sequence.knownTokens;
    this.observe(sequence, reason);
  }

  /** The last record: what is left of the records is written and the digest made. Call it when the engine is idle. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.records !== null) this.records.close();
    this.digest.finish();
  }

  /** Closes, and works out what the records amount to. */
  finish(): RecordedRun {
    this.close();
    return {
      digest: this.digest.finish(),
      digestMode: this.digest.mode,
      simulatedNs: this.nowNs,
      steps: this.steps,
      submissions: this.submissions,
      failedSubmissions: this.failedSubmissions,
      sequenceSteps: this.sequenceSteps,
      requests: this.requestBooks.counts(),
      rejections: this.requestBooks.rejections,
      tokens: this.tokenBooks.counts(),
      sequenceTokensMax: this.sequenceTokensMax,
      latencyNs: {
        ttft: this.ttft.summary(),
        tpot: this.tpot.summary(),
        itl: this.itl.summary(),
        e2e: this.e2e.summary(),
        queue: this.queue.summary(),
        schedulerIteration: this.schedulerIteration.summary(),
        schedulerAllocation: this.schedulerAllocation.summary(),
      },
      peaks: { running: this.runningPeak, waiting: this.waitingPeak, swapped: this.swappedPeak },
      kv: {
        blocksTotal: this.gauges.blocksTotal,
        blocksUsedPeak: this.blocksUsedPeak,
        blocksUsedMean: this.nowNs === 0 ? 0 : this.blocksUsedNs / this.nowNs,
        evictions: this.evictions,
      },
      preemptions: { memoryPressure: this.memoryPressure, priority: this.priority, swapped: this.swaps },
      timeSeries: this.timeSeries.build(),
    };
  }

  /**
   * TTFT: first token - arrival. TPOT: (last token - first token) / (output - 1), from two tokens on. Queue: all its time in
   * the queue, of sequences that were admitted. E2E: end - arrival, only of those that completed. With a frontend arrival, first token and end
   * are as the client sees them.
   */
  private observe(sequence: Sequence, reason: FinishReason): void {
    const { frontend } = this;
    const arrivalNs = sequence.request.arrivalNs - (frontend?.requestNs(sequence.promptTokens) ?? 0);
    const endDelayNs = frontend?.endNs ?? 0;
    const firstTokenNs = sequence.firstTokenNs;
    const firstSeenNs = firstTokenNs + (frontend?.takeFirstTokenNs(sequence) ?? 0);
    const ttftNs = firstTokenNs !== NONE ? firstSeenNs - arrivalNs : -1;
    if (ttftNs >= 0) this.ttft.observe(ttftNs, 1);
    if (sequence.outputTokens >= 2) {
      const lastSeenNs = sequence.lastTokenNs + endDelayNs;
      const ns = lastSeenNs > firstSeenNs ? lastSeenNs - firstSeenNs : 0;
      this.tpot.observe(ns / (sequence.outputTokens - 1), 1);
    }
    if (sequence.admittedNs !== NONE) this.queue.observe(sequence.waitedNs, 1);
    if (reason === 'stop' || reason === 'length') {
      // Whoever holds up a first token holds up what follows it.
      const e2eNs = this.nowNs + endDelayNs - arrivalNs;
      this.e2e.observe(e2eNs > ttftNs ? e2eNs : ttftNs, 1);
    }
    this.timeSeries.finished(this.nowNs, firstTokenNs, ttftNs);
  }

  private readUsed(): void {
    const used = this.gauges.blocksUsed();
    this.queues.blocksUsed = used;
    if (used > this.blocksUsedPeak) this.blocksUsedPeak = used;
  }
}
