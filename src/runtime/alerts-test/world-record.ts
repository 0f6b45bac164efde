import {
  type Engine,
  type EngineEvents,
  type HostPhase,
  NONE,
  type PreemptionReason,
  type RejectionReason,
  type Request,
  type Sequence,
  type StepPlan,
  type StepResult,
  type VirtualClock,
  type WaitReason,
} from '../../core/index.ts';
import type { RunObserver } from '../run-spec.ts';

/** What is counted or summed per row. Times (`...Ns`) are integrals over time: level times nanoseconds. */
const COLUMNS = [
  'succeeded',
  'failed',
  'preemptions',
  'evictions',
  'hitBlocks',
  'missedBlocks',
  'acceptedDrafts',
  'rejectedDrafts',
  'steps',
  /** Steps whose scheduling took longer than each of `HOST_LIMITS_NS`. */
  'slowSteps0',
  'slowSteps1',
  /** Requests of which it became known that their first token is late, or not late, by each of `TTFT_LIMITS_NS`. */
  'late0',
  'timely0',
  'late1',
  'timely1',
  'usedNs',
  'waitingNs',
  'swappedNs',
  'busyNs',
  /** 1 when at the row's moment no step had ended for `STALL_NS` while work was there. */
  'stalled',
] as const;
export type WorldColumn = (typeof COLUMNS)[number];

const TTFT_LIMITS_NS = [300e6, 500e6] as const;
const HOST_LIMITS_NS = [5e6, 50e6] as const;
const STALL_NS = 10e9;

/**
 * What really happened in a simulated run, told by the engine itself: each request, each step, each block, exactly and without
 * buckets, windows or scrapes between. Row r holds what happened in ((r - 1) * interval, r * interval], so that it can be
 * laid beside a history of metrics with the same interval. Alerts are judged by it.
 */
export class WorldRecord implements RunObserver, EngineEvents {
  readonly intervalNs: number;
  readonly events: EngineEvents = this;
  blocksTotal = 0;
  /** Rows begun. */
  rows = 1;
  private readonly columns: Record<WorldColumn, Float64Array>;
  private engine: Engine | null = null;
  private nowNs = 0;
  private used = 0;
  private waiting = 0;
  private swapped = 0;
  private busy = 0;
  private accepted = 0;
  private rejectedDrafts = 0;
  /** When a step last ended, or work came to an engine that had none. */
  private progressNs = 0;

  constructor(intervalSeconds: number) {
    this.intervalNs = Math.round(intervalSeconds * 1e9);
    this.columns = Object.fromEntries(COLUMNS.map((name) => [name, new Float64Array(1024)])) as Record<
      WorldColumn,
      Float64Array
    >;
  }

  attach(engine: Engine, _clock: VirtualClock): void {
    this.engine = engine;
    this.blocksTotal = engine.config.blocksTotal;
  }

  close(endNs: number): void {
    this.advance(endNs);
  }

  /** Of row `row`; 0 where nothing happened. */
  value(row: number, column: WorldColumn): number {
    return row < this.rows ? this.columns[column][row]! : 0;
  }

  received(_sequence: Sequence, nowNs: number): void {
    // It is among them by now.
    if (this.engine!.requests.size === 1) this.progressNs = nowNs;
    this.advance(nowNs);
  }

  rejected(_request: Request, _reason: RejectionReason, _nowNs: number): void {}

  admitted(sequence: Sequence, hitTokens: number, _blocks: number, resumed: boolean, nowNs: number): void {
    if (resumed || sequence.admittedNs !== nowNs || sequence.index > 0) return;
    const { blockSize, prefixCaching } = this.engine!.config;
    if (!prefixCaching) return;
    const hits = Math.floor(hitTokens / blockSize);
    this.add('hitBlocks', nowNs, hits);
    this.add('missedBlocks', nowNs, Math.floor((sequence.promptTokens - 1) / blockSize) - hits);
  }

  preempted(_sequence: Sequence, _reason: PreemptionReason, _swapped: boolean, nowNs: number): void {
    this.add('preemptions', nowNs, 1);
  }

  evicted(_blocks: Int32Array, count: number, nowNs: number): void {
    this.add('evictions', nowNs, count);
  }

  stepPlanned(_plan: StepPlan, _waiting: number, _swapped: number, _reason: WaitReason | null, nowNs: number): void {
    this.advance(nowNs);
  }

  hostPhase(_phase: HostPhase, _ns: number): void {}

  stepFinished(plan: StepPlan, result: StepResult, _startNs: number, endNs: number): void {
    this.advance(endNs);
    const steps = result.status === 'ok' ? result.stepsRun : 1;
    this.add('steps', endNs, steps);
    if (plan.hostNs > HOST_LIMITS_NS[0]) this.add('slowSteps0', endNs, steps);
    if (plan.hostNs > HOST_LIMITS_NS[1]) this.add('slowSteps1', endNs, steps);
    const longest = result.status === 'ok' && steps > 1 ? (endNs - this.progressNs) / steps : endNs - this.progressNs;
    if (longest > STALL_NS) this.markStall(this.progressNs + STALL_NS, endNs);
    this.progressNs = endNs;
    const { speculation } = this.engine!.scheduler;
    if (speculation === null) return;
    this.add('acceptedDrafts', endNs, speculation.accepted - this.accepted);
    this.add('rejectedDrafts', endNs, speculation.rejected - this.rejectedDrafts);
    this.accepted = speculation.accepted;
    this.rejectedDrafts = speculation.rejected;
  }

  tokenGap(_gapNs: number, _count: number): void {}

  finished(sequence: Sequence, nowNs: number): void {
    const reason = sequence.finishReason!;
    if (reason === 'rejected') return;
    const well = reason === 'stop' || reason === 'length';
    if (well) this.add('succeeded', nowNs, 1);
    else if (reason !== 'abort') this.add('failed', nowNs, 1);
    const { arrivalNs } = sequence.request;
    const first = sequence.firstTokenNs === NONE ? Number.POSITIVE_INFINITY : sequence.firstTokenNs - arrivalNs;
    TTFT_LIMITS_NS.forEach((limitNs, i) => {
      const which = i as 0 | 1;
      if (first <= limitNs) this.add(`timely${which}`, arrivalNs + first, 1);
      // Late is known at the limit, whether or not a token ever comes; who left before that tells nothing.
      else if (nowNs - arrivalNs > limitNs) this.add(`late${which}`, arrivalNs + limitNs, 1);
    });
  }

  /** Row of a moment. */
  private rowOf(timeNs: number): number {
    const row = Math.ceil(timeNs / this.intervalNs);
    if (row >= this.rows) this.grow(row + 1);
    return row;
  }

  private add(column: WorldColumn, timeNs: number, amount: number): void {
    if (amount === 0) return;
    const row = this.rowOf(timeNs);
    this.columns[column][row]! += amount;
  }

  /** Levels have been what they were until `nowNs`; reads the new ones. */
  private advance(nowNs: number): void {
    const { columns, intervalNs } = this;
    while (this.nowNs < nowNs) {
      const row = this.rowOf(this.nowNs + 1);
      const untilNs = Math.min(nowNs, row * intervalNs);
      const ns = untilNs - this.nowNs;
      columns.usedNs[row]! += this.used * ns;
      columns.waitingNs[row]! += this.waiting * ns;
      columns.swappedNs[row]! += this.swapped * ns;
      columns.busyNs[row]! += this.busy * ns;
      this.nowNs = untilNs;
    }
    const { scheduler, kv, held, requests } = this.engine!;
    this.used = kv.pool.used;
    this.waiting = scheduler.waiting.size + held;
    this.swapped = scheduler.swapped.size;
    this.busy = requests.size > 0 ? 1 : 0;
  }

  private markStall(fromNs: number, toNs: number): void {
    for (let row = Math.ceil(fromNs / this.intervalNs); row * this.intervalNs <= toNs; row++) {
      this.rowOf(row * this.intervalNs);
      this.columns.stalled[row] = 1;
    }
  }

  private grow(rows: number): void {
    this.rows = rows;
    for (const name of COLUMNS) {
      const column = this.columns[name];
      if (rows <= column.length) continue;
      const larger = new Float64Array(Math.max(rows, 2 * column.length));
      larger.set(column);
      this.columns[name] = larger;
    }
  }
}
