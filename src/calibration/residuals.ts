import type { ProfileResidual } from '../backends/simulated/index.ts';

/** Collects predictions of what was left out. */
export class ResidualBook {
  private readonly errors: number[] = [];

  /** Relative error of one prediction. */
  add(predicted: number, measured: number): void {
    if (measured > 0) this.errors.push(predicted / measured - 1);
  }

  /** null when nothing was added. */
  summary(table: string, leftOut: string): ProfileResidual | null {
    const { errors } = this;
    if (errors.length === 0) return null;
    const magnitudes = errors.map(Math.abs).sort((a, b) => a - b);
    return {
      table,
      leftOut,
      points: errors.length,
      medianAbsError: round(quantile(magnitudes, 0.5)),
      p90AbsError: round(quantile(magnitudes, 0.9)),
      bias: round(
        quantile(
          [...errors].sort((a, b) => a - b),
          0.5,
        ),
      ),
    };
  }
}

/** Of a rising list: linear between the closest ranks. */
export function quantile(rising: readonly number[], share: number): number {
  const place = share * (rising.length - 1);
  const low = Math.floor(place);
  const a = rising[low]!;
  return low === place ? a : a + (place - low) * (rising[low + 1]! - a);
}

/** Value at x of the line through two points. */
export function between(x: number, x0: number, y0: number, x1: number, y1: number): number {
  return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
