import { NONE } from './ids.ts';
import type { KvCache } from './kv-cache.ts';
import type { StepPlan } from './step-plan.ts';

/**
 * Block growth of the later steps of a decode run, in the order in which single steps would do it: step by step, within a
 * step row by row. In step s of the run, row r computes position context[r] + s; it needs a new block when that is a
 * multiple of the block size, and fills one when the next position is. Rows are kept in lists by residue, so the work is
 * O(rows + blocks), not O(rows * steps).
 */
export class RunGrowth {
  private readonly kv: KvCache;
  private readonly firstRow: Int32Array;
  private readonly nextRow: Int32Array;

  constructor(kv: KvCache, sequencesMax: number) {
    this.kv = kv;
    this.firstRow = new Int32Array(kv.blockSize);
    this.nextRow = new Int32Array(sequencesMax);
  }

  /** Most steps for which the available blocks surely suffice, at most `stepsMax`. */
  stepsThatFit(plan: StepPlan, stepsMax: number): number {
    // Each row needs at most one block per blockSize steps, and one more for the first boundary.
    const perRow = Math.floor(this.kv.pool.available / plan.rows);
    return Math.max(1, Math.min(stepsMax, perRow * this.kv.blockSize));
  }

  /** Steps 1 .. steps - 1 of the plan's run; step 0 was reserved when it was planned. */
  apply(plan: StepPlan, steps: number): void {
    const size = this.kv.blockSize;
    this.firstRow.fill(NONE);
    for (let row = plan.rows - 1; row >= 0; row--) {
      const residue = plan.contextTokens[row]! % size;
      const boundary = residue === 0 ? 0 : size - residue;
      this.nextRow[row] = this.firstRow[boundary]!;
      this.firstRow[boundary] = row;
    }
    // step % size and (step + 1) % size, without dividing.
    let growing = 0;
    let filling = 1 % size;
    for (let step = 1; step < steps; step++) {
      growing = filling;
      filling = filling + 1 === size ? 0 : filling + 1;
      for (let row = this.firstRow[growing]!; row !== NONE; row = this.nextRow[row]!) {
        this.kv.appendBlock(plan.sequences[row]!, plan, step);
      }
      for (let row = this.firstRow[filling]!; row !== NONE; row = this.nextRow[row]!) {
        this.kv.publish(plan.sequences[row]!, plan.contextTokens[row]! + step + 1, plan.stepId + step);
      }
    }
  }
}
