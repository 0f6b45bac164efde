import { build } from 'hdr-histogram-js';

/** What is said of a series of latencies, in the unit in which they were observed; all null when nothing was. */
export interface LatencySummary {
  readonly mean: number | null;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

/** Samples up to which percentiles are exact. */
const EXACT_SAMPLES_MAX = 100_000;

/** Entries held at first: what a long series of few samples, or a run of many steps, needs. */
const ENTRIES_START = 4096;

/** Above that no more samples are added to an entry: with one more weight below 2^30 it fits the Int32Array. */
const WEIGHT_MERGED_MAX = 2 ** 30;

/**
 * Weighted latencies, nanoseconds. Mean and maximum are always exact. Percentiles are exact up to `exactSamplesMax` samples,
 * and above while they make few entries (a value and its weight): linear interpolation between the closest ranks of the
 * values repeated by weight, which is numpy's `linear` and type 7 of Hyndman and Fan, Sample Quantiles in Statistical
 * Packages (1996). Else they come from an HDR histogram of 3 significant digits: nearest rank, the upper end of a class of
 * equivalent values, at most 0.1 % too high.
 *
 * Observing only stores: a run is over before V8 has optimised anything larger. The work is done in long loops.
 */
export class LatencySeries {
  private readonly exactSamplesMax: number;
  private values: Float64Array;
  private weights: Int32Array;
  /** Entries held; the ones before them are in `totals` and `classes`. */
  private entries = 0;
  private readonly totals = new Totals();
  private classes: ClassCounts | null = null;

  constructor(exactSamplesMax = EXACT_SAMPLES_MAX) {
    this.exactSamplesMax = exactSamplesMax;
    const capacity = Math.max(1, Math.min(exactSamplesMax, ENTRIES_START));
    this.values = new Float64Array(capacity);
    this.weights = new Int32Array(capacity);
  }

  /** Adds `weight` samples of `value` (at least 0). */
  observe(value: number, weight: number): void {
    if (weight === 0) return;
    // What a model says of the host's work is often the same as before.
    const last = this.entries - 1;
    if (last >= 0 && this.values[last] === value && this.weights[last]! < WEIGHT_MERGED_MAX) {
      this.weights[last]! += weight;
      return;
    }
    if (this.entries === this.values.length) this.makeRoom(1);
    const at = this.entries++;
    this.values[at] = value;
    this.weights[at] = weight;
  }

  /**
   * Adds, for each of values[0 .. count), count at least 1, `weight` samples; the first is longer by `lead`. Returns the
   * largest of them.
   */
  observeRun(values: Float64Array, count: number, lead: number, weight: number): number {
    if (this.entries + count > this.values.length) this.makeRoom(count);
    const at = this.entries;
    if (weight > 0) this.entries = at + count;
    const into = this.values;
    const weights = this.weights;
    let largest = 0;
    for (let i = 0; i < count; i++) {
      const value = i === 0 ? values[0]! + lead : values[i]!;
      if (value > largest) largest = value;
      into[at + i] = value;
      weights[at + i] = weight;
    }
    return largest;
  }

  /** Whether percentiles are exact. */
  get exact(): boolean {
    return this.classes === null;
  }

  /** Samples observed: the sum of weights. */
  get count(): number {
    return this.all().count;
  }

  summary(): LatencySummary {
    const { count, sum, max } = this.all();
    if (count === 0) return { mean: null, p50: null, p90: null, p95: null, p99: null, max: null };
    const [p50, p90, p95, p99] = this.percentiles([50, 90, 95, 99]);
    return { mean: sum / count, p50: p50!, p90: p90!, p95: p95!, p99: p99!, max };
  }

  /** Values at the given percentiles (0 .. 100); NaN when nothing was observed. */
  percentiles(percentiles: readonly number[]): number[] {
    const { count, max } = this.all();
    if (count === 0) return percentiles.map(() => Number.NaN);
    if (this.classes === null) {
      const values = this.values.subarray(0, this.entries);
      return exactPercentiles(values, this.weights.subarray(0, this.entries), count, percentiles);
    }
    return this.spill().percentiles(percentiles, max);
  }

  private all(): Totals {
    const totals = new Totals();
    totals.count = this.totals.count;
    totals.sum = this.totals.sum;
    totals.max = this.totals.max;
    totals.add(this.values, this.weights, this.entries);
    return totals;
  }

  /** Grows while the samples can be held exactly, else hands them to the classes. */
  private makeRoom(count: number): void {
    let capacity = this.values.length;
    if (this.classes === null && this.all().count <= this.exactSamplesMax) {
      while (capacity < this.entries + count && capacity < this.exactSamplesMax) capacity *= 4;
      capacity = Math.max(this.values.length, Math.min(capacity, this.exactSamplesMax));
    }
    if (this.entries + count > capacity) this.spill();
    capacity = Math.max(capacity, count);
    if (capacity === this.values.length) return;
    const values = new Float64Array(capacity);
    const weights = new Int32Array(capacity);
    values.set(this.values.subarray(0, this.entries));
    weights.set(this.weights.subarray(0, this.entries));
    this.values = values;
    this.weights = weights;
  }

  private spill(): ClassCounts {
    const classes = this.classes ?? new ClassCounts();
    this.classes = classes;
    classes.add(this.values, this.weights, this.entries);
    this.totals.add(this.values, this.weights, this.entries);
    this.entries = 0;
    return classes;
  }
}

class Totals {
  count = 0;
  sum = 0;
  max = 0;

  add(values: Float64Array, weights: Int32Array, entries: number): void {
    let { count, sum, max } = this;
    for (let i = 0; i < entries; i++) {
      const value = values[i]!;
      count += weights[i]!;
      sum += value * weights[i]!;
      if (value > max) max = value;
    }
    this.count = count;
    this.sum = sum;
    this.max = max;
  }
}

/** Percentiles of the values, each repeated by its weight. */
function exactPercentiles(
  values: Float64Array,
  weights: Int32Array,
  count: number,
  percentiles: readonly number[],
): number[] {
  // Sorting plain numbers is native; sorting pairs would call back for every comparison.
  const sorted = values.slice().sort();
  const ends = cumulativeWeights(sorted, values, weights, count);
  const valueAt = (rank: number): number => sorted[ends === null ? rank : firstAbove(ends, rank)]!;
  return percentiles.map((percentile) => {
    const rank = (percentile / 100) * (count - 1);
    const below = Math.floor(rank);
    const low = valueAt(below);
    const high = valueAt(Math.min(below + 1, count - 1));
    return low + (high - low) * (rank - below);
  });
}

/** ends[i]: samples at or before sorted[i]; null when every weight is 1. Equal values hold their weight at the first of them. */
function cumulativeWeights(
  sorted: Float64Array,
  values: Float64Array,
  weights: Int32Array,
  count: number,
): Float64Array | null {
  if (count === values.length) return null;
  const ends = new Float64Array(sorted.length);
  for (let i = 0; i < values.length; i++) ends[firstAtLeast(sorted, values[i]!)]! += weights[i]!;
  for (let i = 1; i < ends.length; i++) ends[i]! += ends[i - 1]!;
  return ends;
}

function firstAtLeast(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function firstAbove(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Largest value told apart, ns: 52 days. Larger ones count as this one. */
const CLASS_VALUE_MAX = 2 ** 52 - 1;

/**
 * Counts by the classes of equivalent values of an HDR histogram of 3 significant digits: exact below 2,048, else the top 11
 * bits (HdrHistogram, AbstractHistogram.java: 2^11 sub-buckets, the smallest power of two above 2 * 10^3). Handing over one
 * count per class at the end gives the same histogram as recording every sample, and counting here takes a few nanoseconds
 * where `recordValueWithCount` takes over a hundred in a young process.
 */
class ClassCounts {
  private readonly counts = new Float64Array(42 * 1024 + 1024);

  add(values: Float64Array, weights: Int32Array, entries: number): void {
    const counts = this.counts;
    for (let i = 0; i < entries; i++) counts[classOf(values[i]!)]! += weights[i]!;
  }

  percentiles(percentiles: readonly number[], max: number): number[] {
    const histogram = build({
      bitBucketSize: 64,
      autoResize: false,
      highestTrackableValue: Math.max(4096, 2 * Math.min(Math.ceil(max), CLASS_VALUE_MAX)),
      numberOfSignificantValueDigits: 3,
    });
    for (let i = 0; i < this.counts.length; i++) {
      if (this.counts[i]! > 0) histogram.recordValueWithCount(lowestOfClass(i), this.counts[i]!);
    }
    return percentiles.map((percentile) => Math.min(histogram.getValueAtPercentile(percentile), max));
  }
}

/** Class of a value: 1024 per power of two, classes of the first 2,048 values are the values. */
function classOf(value: number): number {
  if (value < 2 ** 31) {
    if (value < 2048) return value | 0;
    const shift = 21 - Math.clz32(value);
    return 1024 * shift + (value >> shift);
  }
  const high = Math.floor(Math.min(value, CLASS_VALUE_MAX) / 2 ** 21);
  const shift = 21 - Math.clz32(high);
  return 1024 * (shift + 21) + (high >> shift);
}

function lowestOfClass(index: number): number {
  if (index < 2048) return index;
  const shift = (index >> 10) - 1;
  return (index - 1024 * shift) * 2 ** shift;
}
