import type { MetricName } from '../catalogue.ts';
import { type MetricPlace, PLACES } from '../page-layout.ts';
import type { AlertLabels } from './alert-history.ts';
import type { SeriesName } from './expression.ts';
import { SampleWindow } from './sample-window.ts';

/** One series as Prometheus would have it: its last sample, and the ranges of samples that expressions ask for. */
export class ScrapedSeries {
  readonly labels: AlertLabels;
  private readonly read: (cells: Float64Array | null) => number;
  private readonly windows = new Map<number, SampleWindow>();
  private lastMs = Number.NEGATIVE_INFINITY;
  private lastValue = Number.NaN;
  private readonly lookbackMs: number;
  private readonly staleMarkers: boolean;

  constructor(source: SeriesSource, lookbackMs: number, staleMarkers: boolean) {
    this.labels = source.labels;
    this.read = source.read;
    this.lookbackMs = lookbackMs;
    this.staleMarkers = staleMarkers;
  }

  /** The range of that length; one for all who ask. */
  window(rangeMs: number): SampleWindow {
    let window = this.windows.get(rangeMs);
    if (window === undefined) {
      window = new SampleWindow(rangeMs);
      this.windows.set(rangeMs, window);
    }
    return window;
  }

  /** A scrape; null: it failed. */
  scrape(nowMs: number, cells: Float64Array | null): void {
    const value = this.read(cells);
    if (!Number.isNaN(value)) {
      this.lastMs = nowMs;
      this.lastValue = value;
      for (const window of this.windows.values()) window.push(nowMs, value);
    } else if (this.staleMarkers) this.lastMs = Number.NEGATIVE_INFINITY;
    for (const window of this.windows.values()) window.advance(nowMs);
  }

  /** Whether it has a value at a moment, which is `last`. */
  has(nowMs: number): boolean {
    return this.lastMs >= nowMs - this.lookbackMs;
  }

  get last(): number {
    return this.lastValue;
  }
}

/** Where the value of a series lies in the cells of a row; NaN: it has none. */
export interface SeriesSource {
  readonly labels: AlertLabels;
  readonly read: (cells: Float64Array | null) => number;
}

/** All series of a name that one instance exposes. */
export function seriesSources(name: SeriesName, scrapeLabels: AlertLabels): readonly SeriesSource[] {
  if (name === 'up') return [{ labels: scrapeLabels, read: (cells) => (cells === null ? 0 : 1) }];
  const { place, part } = placeOf(name);
  const labelNames = (place.definition.labels ?? []).map((label) => label.name);
  return place.series.flatMap((values, index) => {
    const labels = { ...Object.fromEntries(labelNames.map((label, i) => [label, values[i]!])), ...scrapeLabels };
    const at = place.at + index * place.stride;
    if (part === 'bucket') return bucketSources(labels, at, place.definition.buckets!);
    if (part === 'count') return [{ labels, read: sumOfCells(at, place.stride - 1) }];
    return [{ labels, read: oneCell(part === 'sum' ? at + place.stride - 1 : at) }];
  });
}

function placeOf(name: Exclude<SeriesName, 'up'>): { place: MetricPlace; part: 'value' | 'bucket' | 'count' | 'sum' } {
  const whole = PLACES.get(name as MetricName);
  if (whole !== undefined) return { place: whole, part: 'value' };
  const [, family, part] = /^(.*)_(bucket|count|sum)$/.exec(name)!;
  return { place: PLACES.get(family as MetricName)!, part: part as 'bucket' | 'count' | 'sum' };
}

/** Buckets lie on the page as single counts; a scrape sees them added up. */
function bucketSources(labels: AlertLabels, at: number, bounds: readonly number[]): SeriesSource[] {
  return [...bounds.map(String), '+Inf'].map((le, bucket) => ({
    labels: { ...labels, le },
    read: sumOfCells(at, bucket + 1),
  }));
}

function oneCell(at: number): (cells: Float64Array | null) => number {
  return (cells) => (cells === null ? Number.NaN : cells[at]!);
}

function sumOfCells(at: number, count: number): (cells: Float64Array | null) => number {
  return (cells) => {
    if (cells === null) return Number.NaN;
    let sum = 0;
    for (let i = at; i < at + count; i++) sum += cells[i]!;
    return sum;
  };
}
