/**
 * `histogram_quantile()` of Prometheus 2.42: linear within the bucket in which the rank falls, the largest finite bound if that is
 * the last bucket. `bounds` ascend; `counts` are cumulative, those that fall are raised in place. Only the first `buckets` are
 * used. NaN without observations, or without a last bucket at infinity.
 */
export function histogramQuantile(
  quantile: number,
  bounds: Float64Array,
  counts: Float64Array,
  buckets: number,
): number {
  if (quantile < 0) return Number.NEGATIVE_INFINITY;
  if (quantile > 1) return Number.POSITIVE_INFINITY;
  if (buckets < 2 || bounds[buckets - 1] !== Number.POSITIVE_INFINITY) return Number.NaN;
  for (let i = 1; i < buckets; i++) counts[i] = Math.max(counts[i]!, counts[i - 1]!);
  const observations = counts[buckets - 1]!;
  if (observations === 0) return Number.NaN;
  let rank = quantile * observations;
  let at = 0;
  while (at < buckets - 1 && counts[at]! < rank) at++;
  if (at === buckets - 1) return bounds[buckets - 2]!;
  if (at === 0 && bounds[0]! <= 0) return bounds[0]!;
  const end = bounds[at]!;
  if (at === 0) return end * (rank / counts[0]!);
  const start = bounds[at - 1]!;
  rank -= counts[at - 1]!;
  return start + (end - start) * (rank / (counts[at]! - counts[at - 1]!));
}
