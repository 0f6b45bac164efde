import type { MeasuredPeaks, MoeTable } from '../device-profile.ts';
import { type ExpertShape, expertCoverage } from '../expert-shape.ts';
import type { WeightFormat } from '../model-shape.ts';
import { beyond, gridPlace, valueAt } from './grid.ts';

export interface MoeShape {
  readonly hiddenSize: number;
  readonly experts: ExpertShape;
  /** Columns of every expert that a GPU holds. */
  readonly intermediateSize: number;
  readonly format: WeightFormat;
}

/**
 * Times of a mixture-of-experts block by tokens. The tables were measured with routes spread as evenly as possible: m tokens reach
 * min(1, m perToken / count) of the experts. Real routes repeat: they reach `expertCoverage`, and few tokens cost the weights of the experts
 * that they reach. A block that is in no table is read from the closest one, at equal tokens per expert and in proportion to the weights.
 */
export class MoeTimes {
  readonly exact: boolean;
  private readonly table: MoeTable;
  private readonly shape: MoeShape;
  private readonly peaks: MeasuredPeaks;
  private readonly sizeFactor: number;
  private readonly tokensFactor: number;

  constructor(tables: readonly MoeTable[], shape: MoeShape, peaks: MeasuredPeaks) {
    const table = closestMoeTable(tables, shape);
    const own = shape.experts.count * shape.hiddenSize * shape.intermediateSize;
    const other = table.experts * table.hiddenSize * table.intermediateSize;
    this.table = table;
    this.shape = shape;
    this.peaks = peaks;
    this.sizeFactor = own / other;
    this.tokensFactor = shape.experts.perToken / shape.experts.count / (table.expertsPerToken / table.experts);
    this.exact = this.sizeFactor === 1 && this.tokensFactor === 1 && table.hiddenSize === shape.hiddenSize;
  }

  /** `skew`: how unevenly routes spread, see `expertCoverage`. */
  timeNs(tokens: number, skew = 0): number {
    const { table, shape } = this;
    const coverage = expertCoverage(shape.experts, tokens, skew);
    const full = table.experts / table.expertsPerToken;
    const same = Math.max(tokens * this.tokensFactor, full);
    const whole = valueAt(table.timesNs, gridPlace(table.tokens, same)) * beyond(table.tokens, same);
    // Evenly spread, coverage * full tokens reach as many experts.
    const part = this.even(coverage * full) / this.even(full);
    return Math.max(whole * part * this.sizeFactor, this.floorNs(tokens, skew));
  }

  private even(tokens: number): number {
    const { table } = this;
    const first = table.tokens[0]!;
    // Less than one token of the table: its launches stay, about a tenth of the time of one.
    if (tokens < first) return table.timesNs[0]! * (0.1 + (0.9 * tokens) / first);
    return valueAt(table.timesNs, gridPlace(table.tokens, tokens));
  }

  /** The longer of the arithmetic of all routes and of reading the experts that the tokens reach, at the measured peaks, ns. */
  floorNs(tokens: number, skew = 0): number {
    const { shape, peaks } = this;
    const coverage = expertCoverage(shape.experts, tokens, skew);
    const weights = 3 * shape.hiddenSize * shape.intermediateSize;
    const fp8 = shape.format === 'fp8';
    const compute =
      (2 * tokens * shape.experts.perToken * weights) / (fp8 ? peaks.fp8FlopsPerSecond : peaks.bf16FlopsPerSecond);
    const traffic = (coverage * shape.experts.count * weights * (fp8 ? 1 : 2)) / peaks.hbmBytesPerSecond;
    return Math.max(compute, traffic) * 1e9;
  }
}

function closestMoeTable(tables: readonly MoeTable[], shape: MoeShape): MoeTable {
  let best: MoeTable | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const table of tables) {
    if (table.format !== shape.format) continue;
    const distance =
      ratio(table.experts / table.expertsPerToken, shape.experts.count / shape.experts.perToken) +
      ratio(table.experts, shape.experts.count) +
      ratio(table.hiddenSize, shape.hiddenSize) +
      ratio(table.intermediateSize, shape.intermediateSize);
    if (distance < bestDistance) {
      best = table;
      bestDistance = distance;
    }
  }
  if (best === null) throw new RangeError(`MoE tables: none of format ${shape.format}`);
  return best;
}

function ratio(a: number, b: number): number {
  return a > b ? a / b - 1 : b / a - 1;
}
