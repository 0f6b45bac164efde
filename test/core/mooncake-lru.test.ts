import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BlockSlab } from '../../src/core/block-slab.ts';
import { BlockPool, emptyBlockKey, NONE, PrefixCache } from '../../src/core/index.ts';

const FOLDER = process.env['TWINFER_DATA'];
const SKIPPED = FOLDER === undefined ? ' (skipped: TWINFER_DATA does not name the folder of public data)' : '';

/** The independent computation is rounded to 0.01 percentage points: ours has to round to the same figure. */
const ROUNDING_POINTS = 0.005 + 1e-9;

/** Order in which a request's blocks become the most recent ones: the last of them is evicted last. */
type TouchOrder = 'tails-first' | 'heads-first';

interface Expected {
  readonly trace: string;
  readonly capacity: number | 'unlimited';
  readonly hitRate: number;
}

/**
 * Mooncake's production and synthetic traces (Qin et al., "Mooncake: Trading More Storage for Less Computation", FAST 2025;
 * kvcache-ai/Mooncake, FAST25-release/traces). A hash id names a block of 512 tokens and all tokens before it.
 */
describe.skipIf(FOLDER === undefined)(`an LRU of blocks on the Mooncake traces${SKIPPED}`, () => {
  const expected = FOLDER === undefined ? [] : readExpected();

  it.each(['conversation', 'synthetic'])('%s: the hit rates of an independent LRU, at every capacity', (trace) => {
    const rows = expected.filter((row) => row.trace === trace);
    expect(rows.length).toBeGreaterThanOrEqual(7);
    const requests = readHashIds(trace);
    const off = rows.map((row) => pointsOff(requests, row, 'tails-first'));
    const tooFar = rows.filter((_, i) => Math.abs(off[i]!) > ROUNDING_POINTS);
    expect(tooFar, rows.map((row, i) => `${row.capacity}: ${off[i]!.toFixed(4)} points off`).join('; ')).toEqual([]);
  });

  it('loses hits in a small cache when a chain is given back with its head first', () => {
    const row = expected.find((candidate) => candidate.trace === 'synthetic' && candidate.capacity === 3000)!;
    expect(pointsOff(readHashIds('synthetic'), row, 'heads-first')).toBeLessThan(-20 * ROUNDING_POINTS);
  });
});

/** Percentage points by which our hit rate lies above the expected one. */
function pointsOff(requests: readonly Int32Array[], row: Expected, order: TouchOrder): number {
  let blocks = 0;
  for (const ids of requests) blocks += ids.length;
  const capacity = row.capacity === 'unlimited' ? blocks : row.capacity;
  return 100 * (leadingHits(requests, capacity, order) / blocks - row.hitRate);
}

/** Blocks found in the leading prefixes of all requests, one after the other, by a cache of `capacity` blocks. */
function leadingHits(requests: readonly Int32Array[], capacity: number, order: TouchOrder): number {
  const slab = new BlockSlab(capacity);
  const pool = new BlockPool(capacity, slab);
  const cache = new PrefixCache(capacity, 512, slab);
  const key = emptyBlockKey();
  key.exact = true;
  const noTokens = new Int32Array(0);
  const row = new Int32Array(requests.reduce((longest, ids) => Math.max(longest, ids.length), 0));
  let hits = 0;
  for (const ids of requests) {
    let parent = PrefixCache.root(0);
    let leading = true;
    for (let i = 0; i < ids.length; i++) {
      key.lane0 = ids[i]!;
      const node = leading ? cache.find(parent, key, noTokens, 0) : NONE;
      let block = node === NONE ? NONE : cache.blockOf(node);
      if (block === NONE) {
        leading = false;
        block = pool.take();
        cache.drop(block);
        parent = cache.publish(block, parent, key, noTokens, 0, 0);
      } else {
        hits++;
        pool.touch(block);
        parent = node;
      }
      row[i] = block;
    }
    if (order === 'tails-first') pool.releaseMany(row, 0, ids.length, NONE, false);
    else for (let i = 0; i < ids.length; i++) pool.release(row[i]!, NONE, false);
  }
  return hits;
}

function readHashIds(trace: string): Int32Array[] {
  const lines = readText(`${trace}_trace.jsonl`);
  return lines.map((line) => Int32Array.from((JSON.parse(line) as { readonly hash_ids: readonly number[] }).hash_ids));
}

function readExpected(): Expected[] {
  const [header, ...rows] = readText('lru_hit_rates.csv');
  const columns = header!.split(',');
  const column = (cells: readonly string[], name: string): string => cells[columns.indexOf(name)]!;
  return rows.map((line) => {
    const cells = line.split(',');
    const capacity = column(cells, 'lru_capacity_blocks');
    return {
      trace: column(cells, 'trace'),
      capacity: capacity === 'unlimited' ? capacity : Number(capacity),
      hitRate: Number(column(cells, 'prefix_block_hit_rate')),
    };
  });
}

function readText(file: string): string[] {
  return readFileSync(`${FOLDER}/traces/mooncake-fast25/${file}`, 'utf8').trim().split('\n');
}
