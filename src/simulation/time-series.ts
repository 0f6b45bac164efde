import type { StepPlan, StepResult } from '../core/index.ts';

/** What the recorder may read of the KV pool at any moment. */
export interface KvGauges {
  readonly blocksTotal: number;
  /** Blocks owned by live sequences. */
  blocksUsed(): number;
  /** Blocks without an owner whose content may still be hit. */
  blocksCached(): number;
}

/** What waits and what is held, as of the last plan; one object that the recorder rewrites. */
export interface Queues {
  waiting: number;
  swapped: number;
  blocksUsed: number;
}

/** Series over simulated time; bucket i covers [i, i + 1) * bucketSeconds. All arrays have one entry per bucket. */
export interface TimeSeries {
  readonly bucketSeconds: number;
  readonly buckets: number;
  /** Peaks within the bucket. */
  readonly running: readonly number[];
  readonly waiting: readonly number[];
  readonly swapped: readonly number[];
  readonly blocksUsed: readonly number[];
  /** At the end of the bucket (the largest of these where buckets were merged). */
  readonly blocksCached: readonly number[];
  /** Counts of events that fell into the bucket. */
  readonly arrivals: readonly number[];
  readonly finishes: readonly number[];
  readonly preemptions: readonly number[];
  readonly evictions: readonly number[];
  /** Prompt tokens (or tokens recomputed after a preemption) and decoded tokens computed, per second. */
  readonly prefillTokensPerSecond: readonly number[];
  readonly decodeTokensPerSecond: readonly number[];
  /** Of first tokens delivered in the bucket; null where there were none. */
  readonly ttftMeanSeconds: readonly (number | null)[];
  readonly ttftMaxSeconds: readonly (number | null)[];
  /** Of gaps that ended in the bucket. */
  readonly itlMeanSeconds: readonly (number | null)[];
  readonly itlMaxSeconds: readonly (number | null)[];
}

const BUCKETS_MAX = 1200;
const SECOND_NS = 1e9;

/** How a column merges when two buckets become one. */
const MERGE = { sum: 0, max: 1 } as const;

/** Columns of the table of buckets, one Float64Array each. */
const COLUMNS = {
  running: MERGE.max,
  waiting: MERGE.max,
  swapped: MERGE.max,
  blocksUsed: MERGE.max,
  blocksCached: MERGE.max,
  arrivals: MERGE.sum,
  finishes: MERGE.sum,
  preemptions: MERGE.sum,
  evictions: MERGE.sum,
  prefillTokens: MERGE.sum,
  decodeTokens: MERGE.sum,
  ttftSumNs: MERGE.sum,
  ttftCount: MERGE.sum,
  ttftMaxNs: MERGE.max,
  itlSumNs: MERGE.sum,
  itlCount: MERGE.sum,
  itlMaxNs: MERGE.max,
} as const;

type ColumnName = keyof typeof COLUMNS;
type Columns = Record<ColumnName, Float64Array>;

/**
 * Buckets of simulated time, 1 s wide at first; when there would be more than 1,200, neighbours merge and the width doubles.
 * So memory is fixed, every width is a power of two, and totals and peaks are those of the finest buckets. A step costs O(1),
 * but for those in which time leaves the open bucket.
 */
export class TimeSeriesBuilder {
  private readonly columns: Columns;
  private readonly gauges: KvGauges;
  /** In seconds, a small integer: a field that outgrew 31 bits late would cost V8 all its optimised code. */
  private bucketSeconds = 1;
  private open = 0;
  private openStartNs = 0;
  private openEndNs = SECOND_NS;
  private lastBucket = 0;

  constructor(gauges: KvGauges) {
    this.gauges = gauges;
    const columns = {} as Columns;
    for (const name of names()) columns[name] = new Float64Array(BUCKETS_MAX);
    this.columns = columns;
  }

  arrived(nowNs: number): void {
    this.at(nowNs);
    this.columns.arrivals[this.open]!++;
  }

  /** A sequence ended; `ttftNs` < 0 when it delivered nothing. Its TTFT counts where the first token fell. */
  finished(nowNs: number, firstTokenNs: number, ttftNs: number): void {
    this.at(nowNs);
    const columns = this.columns;
    columns.finishes[this.open]!++;
    if (ttftNs < 0) return;
    const bucket = this.bucketOf(firstTokenNs);
    columns.ttftSumNs[bucket]! += ttftNs;
    columns.ttftCount[bucket]!++;
    if (ttftNs > columns.ttftMaxNs[bucket]!) columns.ttftMaxNs[bucket] = ttftNs;
  }

  preempted(nowNs: number): void {
    this.at(nowNs);
    this.columns.preemptions[this.open]!++;
  }

  evicted(count: number, nowNs: number): void {
    this.at(nowNs);
    this.columns.evictions[this.open]! += count;
  }

  gap(gapNs: number, count: number, nowNs: number): void {
    this.at(nowNs);
    this.addGaps(gapNs * count, count, gapNs);
  }

  /**
   * A run of steps has ended: each counts in the bucket in which it ends, as single steps would. Prefill tokens belong to the
   * first. `gapMaxNs` is the longest gap of the run, its lead included.
   */
  stepped(
    plan: StepPlan,
    result: StepResult,
    startNs: number,
    endNs: number,
    gapRows: number,
    leadNs: number,
    gapMaxNs: number,
    queues: Queues,
  ): void {
    const steps = result.stepsRun;
    if (steps === 0) return;
    if (endNs >= this.openEndNs || startNs < this.openStartNs) {
      this.steppedAcross(plan, result, startNs, gapRows, leadNs, queues);
      return;
    }
    const columns = this.columns;
    const open = this.open;
    columns.prefillTokens[open]! += plan.prefillTokens;
    columns.decodeTokens[open]! += steps * plan.decodeTokens;
    if (gapRows > 0) this.addGaps((endNs - startNs + leadNs) * gapRows, steps * gapRows, gapMaxNs);
    this.peaks(open, plan.rows, queues);
  }

  build(): TimeSeries {
    const columns = this.columns;
    const buckets = this.lastBucket + 1;
    columns.blocksCached[this.open] = this.gauges.blocksCached();
    const seconds = this.bucketSeconds;
    const plain = (name: ColumnName): number[] => Array.from(columns[name].subarray(0, buckets));
    const rate = (name: ColumnName): number[] => plain(name).map((value) => value / seconds);
    const latency = (name: ColumnName, count: ColumnName): (number | null)[] =>
      plain(name).map((value, i) => (columns[count][i]! > 0 ? value / 1e9 : null));
    const mean = (sum: ColumnName, count: ColumnName): (number | null)[] =>
      plain(sum).map((value, i) => (columns[count][i]! > 0 ? value / columns[count][i]! / 1e9 : null));
    return {
      bucketSeconds: seconds,
      buckets,
      running: plain('running'),
      waiting: plain('waiting'),
      swapped: plain('swapped'),
      blocksUsed: plain('blocksUsed'),
      blocksCached: plain('blocksCached'),
      arrivals: plain('arrivals'),
      finishes: plain('finishes'),
      preemptions: plain('preemptions'),
      evictions: plain('evictions'),
      prefillTokensPerSecond: rate('prefillTokens'),
      decodeTokensPerSecond: rate('decodeTokens'),
      ttftMeanSeconds: mean('ttftSumNs', 'ttftCount'),
      ttftMaxSeconds: latency('ttftMaxNs', 'ttftCount'),
      itlMeanSeconds: mean('itlSumNs', 'itlCount'),
      itlMaxSeconds: latency('itlMaxNs', 'itlCount'),
    };
  }

  /** `stepped` for a run that is not all within the open bucket: step by step. */
  private steppedAcross(
    plan: StepPlan,
    result: StepResult,
    startNs: number,
    gapRows: number,
    leadNs: number,
    queues: Queues,
  ): void {
    const columns = this.columns;
    this.at(startNs);
    this.peaks(this.open, plan.rows, queues);
    let fromNs = startNs;
    for (let i = 0; i < result.stepsRun; i++) {
      const durationNs = result.durationsNs[i]!;
      const endNs = fromNs + durationNs;
      this.at(endNs);
      columns.decodeTokens[this.open]! += plan.decodeTokens;
      if (i === 0) columns.prefillTokens[this.open]! += plan.prefillTokens;
      const gapNs = i === 0 ? durationNs + leadNs : durationNs;
      if (gapRows > 0) this.addGaps(gapNs * gapRows, gapRows, gapNs);
      for (let bucket = this.bucketOf(fromNs); bucket <= this.open; bucket++) this.peaks(bucket, plan.rows, queues);
      fromNs = endNs;
    }
  }

  private peaks(bucket: number, running: number, queues: Queues): void {
    const columns = this.columns;
    if (running > columns.running[bucket]!) columns.running[bucket] = running;
    if (queues.waiting > columns.waiting[bucket]!) columns.waiting[bucket] = queues.waiting;
    if (queues.swapped > columns.swapped[bucket]!) columns.swapped[bucket] = queues.swapped;
    if (queues.blocksUsed > columns.blocksUsed[bucket]!) columns.blocksUsed[bucket] = queues.blocksUsed;
  }

  private addGaps(sumNs: number, count: number, maxNs: number): void {
    const columns = this.columns;
    const open = this.open;
    columns.itlSumNs[open]! += sumNs;
    columns.itlCount[open]! += count;
    if (maxNs > columns.itlMaxNs[open]!) columns.itlMaxNs[open] = maxNs;
  }

  private at(nowNs: number): void {
    if (nowNs >= this.openEndNs || nowNs < this.openStartNs) this.reopen(nowNs);
  }

  /** Cached blocks are read when a bucket is left: they keep their number while nothing happens. */
  private reopen(nowNs: number): void {
    const cached = this.gauges.blocksCached();
    const fromNs = this.openStartNs;
    while (this.bucketOf(nowNs) >= BUCKETS_MAX) this.double();
    const bucketNs = SECOND_NS * this.bucketSeconds;
    this.open = this.bucketOf(nowNs);
    this.openStartNs = this.open * bucketNs;
    this.openEndNs = this.openStartNs + bucketNs;
    if (this.open > this.lastBucket) this.lastBucket = this.open;
    this.columns.blocksCached.fill(cached, this.bucketOf(fromNs), Math.max(this.open, this.bucketOf(fromNs) + 1));
  }

  private bucketOf(timeNs: number): number {
    return Math.floor(timeNs / this.bucketSeconds / SECOND_NS);
  }

  private double(): void {
    this.bucketSeconds *= 2;
    this.lastBucket >>= 1;
    for (const name of names()) {
      const column = this.columns[name];
      const largest = COLUMNS[name] === MERGE.max;
      for (let i = 0; i < BUCKETS_MAX / 2; i++) {
        const a = column[2 * i]!;
        const b = column[2 * i + 1]!;
        column[i] = largest ? Math.max(a, b) : a + b;
      }
      column.fill(0, BUCKETS_MAX / 2);
    }
  }
}

function names(): ColumnName[] {
  return Object.keys(COLUMNS) as ColumnName[];
}
