import { type FinishReason, NONE, type Sequence } from '../core/index.ts';
import type { LostSequence } from './lost-engine.ts';
import type { MetricsPage } from './metrics-page.ts';
import type { PageHistogram } from './page-histogram.ts';

/** A first token and at least one more, so that there is a time between tokens. */
const TOKENS_FOR_A_GAP = 2;

/** Stands for a sequence that nothing is known of: one that ended in the step in which the engine was lost. */
const UNKNOWN: LostSequence = { promptTokens: 0, outputTokens: 0, ageSeconds: 0 };

const OUTPUT_TOKEN_BUCKETS = ['1-10', '10-50', '50-100', '100+'];

/** Label `output_token_bucket` of an answer of so many tokens, at least 1: a boundary belongs to the lower one. */
export function latencyBucketOf(tokens: number): string {
  return OUTPUT_TOKEN_BUCKETS[tokens <= 10 ? 0 : tokens <= 50 ? 1 : tokens <= 100 ? 2 : 3]!;
}

/** What is observed once per sequence: ends, lengths, latencies. Times in nanoseconds of the engine's clock. */
export class RequestSeries {
  private readonly cells: Float64Array;
  private readonly finishCells: Readonly<Record<Exclude<FinishReason, 'rejected'>, number>>;
  private readonly latencies: readonly PageHistogram[];
  private readonly promptTokens: PageHistogram;
  private readonly outputTokens: PageHistogram;
  private readonly perToken: PageHistogram;

  constructor(page: MetricsPage) {
    this.cells = page.cells;
    const finish = (reason: string) => page.cell('scheduler_sequences_finished_total', reason);
    this.finishCells = {
      stop: finish('stop'),
      length: finish('length'),
      abort: finish('abort'),
      timeout: finish('timeout'),
      error: finish('error'),
    };
    const latency = (bucket: string) => page.histogram('request_latency_seconds', bucket);
    this.latencies = OUTPUT_TOKEN_BUCKETS.map(latency);
    this.promptTokens = page.histogram('request_prompt_tokens');
    this.outputTokens = page.histogram('request_output_tokens');
    this.perToken = page.histogram('request_time_per_output_token_seconds');
  }

  /**
   * Sequences that were taken in and have not ended do so as `error`; each that has ended has its lengths, and its latency where
   * it has a first token. `received`: sequences taken in so far.
   */
  settle(received: number, firstTokens: PageHistogram, lost: readonly LostSequence[]): void {
    const { cells, finishCells } = this;
    let finished = 0;
    for (const cell of Object.values(finishCells)) finished += cells[cell]!;
    if (received > finished) cells[finishCells.error]! += received - finished;
    const ended = Math.max(received, finished);
    const of = (index: number) => lost[index] ?? UNKNOWN;
    for (let i = 0, missing = ended - this.promptTokens.count; i < missing; i++)
      this.promptTokens.observe(of(i).promptTokens);
    for (let i = 0, missing = ended - this.outputTokens.count; i < missing; i++)
      this.outputTokens.observe(of(i).outputTokens);
    const begun = lost.filter(({ outputTokens }) => outputTokens > 0);
    let latencies = 0;
    for (const latency of this.latencies) latencies += latency.count;
    const more = firstTokens.count - latencies;
    for (let i = 0; i < more; i++) {
      const { outputTokens, ageSeconds } = begun[i] ?? of(i);
      this.latencies[OUTPUT_TOKEN_BUCKETS.indexOf(latencyBucketOf(outputTokens))]!.observe(ageSeconds);
    }
    if (more < 0) firstTokens.observe(of(0).ageSeconds, -more);
  }

  /** A sequence that had been taken in has ended. */
  finished(sequence: Sequence, reason: Exclude<FinishReason, 'rejected'>, nowNs: number): void {
    this.cells[this.finishCells[reason]]!++;
    this.promptTokens.observe(sequence.promptTokens);
    const tokens = sequence.outputTokens;
    this.outputTokens.observe(tokens);
    if (tokens === 0) return;
    this.latencies[OUTPUT_TOKEN_BUCKETS.indexOf(latencyBucketOf(tokens))]!.observe(
      (nowNs - sequence.request.arrivalNs) / 1e9,
    );
    const well = reason === 'stop' || reason === 'length';
    if (!well || tokens < TOKENS_FOR_A_GAP || sequence.firstTokenNs === NONE) return;
    this.perToken.observe((sequence.lastTokenNs - sequence.firstTokenNs) / 1e9 / (tokens - 1));
  }
}
