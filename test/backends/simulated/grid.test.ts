import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gridPlace, tilePlace } from '../../../src/backends/simulated/kernels/grid.ts';

describe('tilePlace', () => {
  const grid = [128, 129, 256, 257, 512];

  it('takes a step at the next multiple, and none before it', () => {
    // 257 is the first row of the fifth tile of 64, 512 the last of the eighth.
    expect([257, 258, 320].map((x) => tilePlace(grid, x, 64))).toEqual([3, 3, 3]);
    expect(tilePlace(grid, 321, 64)).toBeCloseTo(3 + 1 / 3, 12);
    expect(tilePlace(grid, 449, 64)).toBe(4);
  });

  it('is linear between two points of one tile', () => {
    expect(tilePlace([65, 80], 72.5, 64)).toBe(0.5);
  });

  it('never falls, and meets the points of the grid', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 0, max: 60 }), (x, more) => {
        expect(tilePlace(grid, x + more, 64)).toBeGreaterThanOrEqual(tilePlace(grid, x, 64));
      }),
    );
    for (const x of grid) expect(tilePlace(grid, x, 64)).toBe(gridPlace(grid, x));
  });
});
