import type { TimeSeries } from './time-series.ts';

/** How the waiting queue went while requests arrived. */
export interface QueueTrend {
  readonly arrivalsPerSecond: number;
  /** Requests that the queue gained per second, from the second quarter of the arrivals to the last. */
  readonly growthPerSecond: number;
  /** It grew as long as requests arrived: more arrives than is served, and every latency grows with the length of the load. */
  readonly growing: boolean;
}

/** Buckets of arrivals that a trend needs. */
const BUCKETS_MIN = 12;
/** Share of the arrivals by which a queue must grow: what is served falls short of them by as much. */
const GROWTH_MIN = 0.02;

/**
 * The trend of waiting over the time in which requests arrive. It grows when each of the last three quarters has more waiting than the one
 * before, and when what it gains is more than 2 % of what arrives. null: the load was too short to tell.
 */
export function queueTrend({ arrivals, waiting, bucketSeconds }: TimeSeries): QueueTrend | null {
  let buckets = arrivals.length;
  while (buckets > 0 && arrivals[buckets - 1] === 0) buckets--;
  if (buckets < BUCKETS_MIN) return null;
  const quarter = (index: number) => {
    const from = Math.floor((index * buckets) / 4);
    const to = Math.floor(((index + 1) * buckets) / 4);
    return meanOf(waiting, from, to);
  };
  const [second, third, last] = [quarter(1), quarter(2), quarter(3)];
  const halfSeconds = (buckets / 2) * bucketSeconds;
  const growthPerSecond = (last - second) / halfSeconds;
  const arrivalsPerSecond = meanOf(arrivals, Math.floor(buckets / 4), buckets) / bucketSeconds;
  const growing = second < third && third < last && growthPerSecond > GROWTH_MIN * arrivalsPerSecond;
  return { arrivalsPerSecond, growthPerSecond, growing };
}

function meanOf(values: readonly number[], from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += values[i]!;
  return sum / (to - from);
}
