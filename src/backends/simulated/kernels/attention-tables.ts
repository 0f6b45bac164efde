interface HeadCounts {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/**
 * The measured table closest to an attention layer: same head size if there is one, then the closest number of query heads per KV head
 * (it decides how much arithmetic there is per byte), then the closest number of heads. Throws RangeError for an empty list.
 */
export function closestTable<T extends HeadCounts>(tables: readonly T[], wanted: HeadCounts): T {
  let best: T | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const table of tables) {
    const distance =
      1e6 * ratio(table.headDim, wanted.headDim) +
      1e3 * ratio(table.heads / table.kvHeads, wanted.heads / wanted.kvHeads) +
      ratio(table.heads, wanted.heads);
    if (distance < bestDistance) {
      best = table;
      bestDistance = distance;
    }
  }
  if (best === null) throw new RangeError('attention tables: none given');
  return best;
}

/** How far apart two numbers are: 0 when equal, the larger over the smaller minus 1. */
function ratio(a: number, b: number): number {
  return a > b ? a / b - 1 : b / a - 1;
}
