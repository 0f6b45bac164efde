/** The thread that writes a metric's cells; `scrape`: it has none, its value follows from others when it is read. */
export type MetricWriter = 'engine' | 'gateway' | 'scrape';

export interface LabelDefinition {
  readonly name: string;
  /** All values that there will ever be (of an info: none, they come with the engine): each series exists from the start, so that its first increment is seen by `rate()`. */
  readonly values: readonly string[];
}

/** What a figure should be, as the dashboard draws it and as benchmarks and simulations judge it. */
export interface MetricThreshold {
  readonly kind: 'target' | 'warning' | 'critical';
  /** Of what: the value, a percentile of a histogram, or the growth of a counter per minute. */
  readonly of: 'value' | 'p99' | 'per-minute';
  readonly comparison: '>' | '<';
  readonly value: number;
}

/** Where the dashboard shows it. */
export interface MetricPanel {
  readonly row: 'key' | 'latency' | 'throughput' | 'memory' | 'cache' | 'gateway';
  readonly title: string;
}

/** Everything that is known of a metric; exposition, documentation, rules and dashboard are made from it. */
export interface MetricDefinition {
  readonly name: string;
  /** `info`: a gauge of 1 whose labels say what this engine is. */
  readonly type: 'counter' | 'gauge' | 'histogram' | 'info';
  /** Of the value: seconds, bytes, tokens, ... */
  readonly unit: string;
  readonly writer: MetricWriter;
  readonly help: string;
  readonly labels?: readonly LabelDefinition[];
  /** Upper bounds of a histogram's buckets, ascending, without infinity. */
  readonly buckets?: readonly number[];
  /** A gauge that has no sample until it is first set: an initial 0 would be read as a ratio of 0 and fire alerts. */
  readonly absentAtStart?: boolean;
  readonly thresholds?: readonly MetricThreshold[];
  readonly panel?: MetricPanel;
}
