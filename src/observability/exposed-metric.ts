import type { MetricsSnapshot } from './metrics-snapshot.ts';
import { type MetricPlace, PLACES } from './page-layout.ts';
import type { MetricAlias } from './vllm-aliases.ts';

/** A request whose trace is kept, beside the bucket that it fell into. */
export interface Exemplar {
  readonly labelSet: Readonly<Record<string, string>>;
  readonly value: number;
  /** Seconds since 1970. */
  readonly timestamp: number;
}

/** Exemplar of a histogram's bucket (its index; the last one is infinity), or null. Asked for OpenMetrics only. */
export type ExemplarSource = (metric: string, series: readonly string[], bucket: number) => Exemplar | null;

/** A sample as prom-client's registry wants it. */
export interface ExposedValue {
  value: number;
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  exemplar?: Exemplar | null;
}

/** One exposed series of a metric: its samples, made once and filled at each scrape. */
interface ExposedSeries {
  readonly labels: readonly string[];
  /** First cells of what is added up: one, or several. */
  readonly from: readonly number[];
  readonly samples: readonly ExposedValue[];
}

/** What a registry of prom-client asks of a metric. */
export interface ExposedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly ExposedValue[];
  readonly aggregator: 'sum';
}

/** A metric of the catalogue, or an alias of one, as a collector of prom-client: it reads a snapshot when it is asked. */
export class ExposedMetric {
  name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  private readonly place: MetricPlace;
  private readonly series: readonly ExposedSeries[];
  private readonly snapshot: MetricsSnapshot;
  private readonly factor: () => number;
  private readonly exemplars: ExemplarSource | null;

  /** `factor`: what values are multiplied by, when they are read. `exemplars`: null in the text format without them. */
  constructor(
    place: MetricPlace,
    alias: MetricAlias | null,
    snapshot: MetricsSnapshot,
    factor: () => number,
    exemplars: ExemplarSource | null,
    openMetrics: boolean,
  ) {
    const { definition } = place;
    const type = definition.type === 'info' ? 'gauge' : definition.type;
    const full = alias === null ? definition.name : alias.name;
    // In OpenMetrics a counter's family has no suffix; the registry appends it to the samples.
    this.name = openMetrics && type === 'counter' ? full.replace(/_total$/, '') : full;
    this.help = alias === null ? definition.help : alias.help;
    this.type = type;
    this.place = place;
    this.snapshot = snapshot;
    this.factor = factor;
    this.exemplars = exemplars;
    this.series = this.makeSeries(alias);
  }

  /** Called by the registry. */
  get(): ExposedFamily {
    const { cells } = this.snapshot;
    const factor = this.factor();
    const values: ExposedValue[] = [];
    for (const series of this.series) {
      if (this.type === 'histogram') this.readHistogram(series, values);
      else {
        const sample = series.samples[0]!;
        sample.value = 0;
        for (const at of series.from) sample.value += cells[at]! * factor;
        if (Number.isNaN(sample.value)) continue;
        values.push(sample);
      }
    }
    return { name: this.name, help: this.help, type: this.type, values, aggregator: 'sum' };
  }

  /** Counts become cumulative, and the total is their sum, so that both always agree. */
  private readHistogram(series: ExposedSeries, values: ExposedValue[]): void {
    const { cells } = this.snapshot;
    const buckets = this.place.stride - 1;
    let count = 0;
    let sum = 0;
    for (const at of series.from) sum += cells[at + buckets]!;
    for (let bucket = 0; bucket < buckets; bucket++) {
      for (const at of series.from) count += cells[at + bucket]!;
      const sample = series.samples[bucket]!;
      sample.value = count;
      if (this.exemplars !== null) sample.exemplar = this.exemplars(this.name, series.labels, bucket);
      values.push(sample);
    }
    const sumSample = series.samples[buckets]!;
    sumSample.value = sum;
    const countSample = series.samples[buckets + 1]!;
    countSample.value = count;
    values.push(sumSample, countSample);
  }

  private makeSeries(alias: MetricAlias | null): ExposedSeries[] {
    const { place } = this;
    const others = (alias?.plus ?? []).map((name) => PLACES.get(name)!.at);
    if (alias?.summed === true) {
      const from = place.series.map((_, index) => place.at + index * place.stride);
      return [{ labels: [], from, samples: this.samples({}) }];
    }
    return place.series.map((values, index) => {
      const names = (place.definition.labels ?? []).map((label) => alias?.relabel?.[label.name] ?? label.name);
      const labels = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
      return { labels: values, from: [place.at + index * place.stride, ...others], samples: this.samples(labels) };
    });
  }

  private samples(labels: Readonly<Record<string, string>>): ExposedValue[] {
    const { name } = this;
    if (this.type !== 'histogram') return [{ value: 0, metricName: name, labels }];
    const bounds = [...this.place.definition.buckets!.map(String), '+Inf'];
    return [
      ...bounds.map((le) => ({ value: 0, metricName: `${name}_bucket`, labels: { ...labels, le } })),
      { value: 0, metricName: `${name}_sum`, labels },
      { value: 0, metricName: `${name}_count`, labels },
    ];
  }
}
