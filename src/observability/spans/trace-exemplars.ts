import { NONE } from '../../core/index.ts';
import type { HistogramName } from '../catalogue.ts';
import type { Exemplar, ExemplarSource } from '../exposed-metric.ts';
import { PLACES } from '../page-layout.ts';
import { latencyBucketOf } from '../request-series.ts';
import type { SequenceRecord } from './sequence-record.ts';

/**
 * The last kept trace of each bucket of the latency histograms, as OpenMetrics shows it: from a bucket that is too full one comes to
 * a request in it. At most one exemplar a bucket is held.
 */
export class TraceExemplars {
  private readonly exemplars = new Map<string, Exemplar>();

  /** For `renderMetrics`. */
  readonly source: ExemplarSource = (metric, series, bucket) =>
    this.exemplars.get(keyOf(metric, series, bucket)) ?? null;

  /** A trace is kept in which this sequence has ended; `epochSeconds`: now, since 1970. */
  keep(record: SequenceRecord, traceId: string, epochSeconds: number): void {
    const { receivedNs, firstTokenNs, lastTokenNs, finishedNs, outputTokens, finishReason } = record;
    if (firstTokenNs === NONE) return;
    const note = (metric: HistogramName, value: number, series: readonly string[] = []) =>
      this.note(metric, series, value, traceId, epochSeconds);
    note('time_to_first_token_seconds', (firstTokenNs - receivedNs) / 1e9);
    if (outputTokens > 0) {
      note('request_latency_seconds', (finishedNs - receivedNs) / 1e9, [latencyBucketOf(outputTokens)]);
    }
    if (outputTokens < 2 || (finishReason !== 'stop' && finishReason !== 'length')) return;
    note('request_time_per_output_token_seconds', (lastTokenNs - firstTokenNs) / 1e9 / (outputTokens - 1));
  }

  /** The same of the latency that the client saw. */
  keepGateway(firstTokenSeconds: number, traceId: string, epochSeconds: number): void {
    this.note('gateway_time_to_first_token_seconds', [], firstTokenSeconds, traceId, epochSeconds);
  }

  private note(
    metric: HistogramName,
    series: readonly string[],
    value: number,
    traceId: string,
    timestamp: number,
  ): void {
    const bounds = PLACES.get(metric)!.definition.buckets!;
    const found = bounds.findIndex((bound) => value <= bound);
    const bucket = found < 0 ? bounds.length : found;
    this.exemplars.set(keyOf(metric, series, bucket), { labelSet: { trace_id: traceId }, value, timestamp });
  }
}

function keyOf(metric: string, series: readonly string[], bucket: number): string {
  return `${metric} ${series.join(' ')} ${bucket}`;
}
