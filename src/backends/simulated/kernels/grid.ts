/**
 * Place of `x` in a rising grid as index + share of the way to the next point: 1.25 is a quarter of the way from point 1 to point 2. Below the
 * grid 0, above it the last index.
 */
export function gridPlace(grid: readonly number[], x: number): number {
  const last = grid.length - 1;
  if (x <= grid[0]!) return 0;
  if (x >= grid[last]!) return last;
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (grid[middle]! <= x) low = middle;
    else high = middle;
  }
  return low + (x - grid[low]!) / (grid[high]! - grid[low]!);
}

/**
 * The same where what is measured grows by whole tiles of `tile`: between points of different tiles x is as far as its tile is, between points of one tile
 * as far as x is.
 */
export function tilePlace(grid: readonly number[], x: number, tile: number): number {
  const place = gridPlace(grid, x);
  const low = Math.floor(place);
  if (low === place) return place;
  const from = Math.ceil(grid[low]! / tile);
  const to = Math.ceil(grid[low + 1]! / tile);
  return from === to ? place : low + (Math.ceil(x / tile) - from) / (to - from);
}

/** Value at a place of `gridPlace`, of an array in which points of the grid are `stride` apart from `offset` on. */
export function valueAt(values: ArrayLike<number>, place: number, offset = 0, stride = 1): number {
  const low = Math.floor(place);
  const share = place - low;
  const a = values[offset + low * stride]!;
  return share === 0 ? a : a + share * (values[offset + (low + 1) * stride]! - a);
}

/** What x exceeds the grid by, as a factor of at least 1: times beyond a table grow in proportion. */
export function beyond(grid: readonly number[], x: number): number {
  const last = grid[grid.length - 1]!;
  return x > last ? x / last : 1;
}
