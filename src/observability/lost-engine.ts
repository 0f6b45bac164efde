import { EngineCells } from './engine-cells.ts';
import type { MetricsPage } from './metrics-page.ts';
import { RequestSeries } from './request-series.ts';

/** A sequence that was with an engine when its thread ended, as the gateway knows it. */
export interface LostSequence {
  readonly promptTokens: number;
  /** That the gateway has got. */
  readonly outputTokens: number;
  /** Since it was submitted, by the engine's clock. */
  readonly ageSeconds: number;
}

/**
 * Settles the series of an engine whose thread has ended, at whatever point of its work that was. Its gauges are as before the first
 * engine. What it had taken in has ended as `error`, and a step that it had applied in part is completed, so that the counts balance:
 *
 * - sequences received = sequences finished = prompt lengths = output lengths;
 * - latencies = first tokens; first tokens + gaps between tokens = tokens;
 * - drafts accepted + rejected = proposed.
 *
 * `lost`: the sequences that the gateway had with it, oldest first. They may be more than those that it had taken in. To be called
 * when nothing writes these series any more, and to be called again without harm.
 */
export function settleLostEngine(page: MetricsPage, lost: readonly LostSequence[]): void {
  const { cells } = page;
  const at = new EngineCells(page);
  page.releaseGroup();
  page.clearGauges('engine');
  cells[at.lastIterationNs] = Number.NaN;
  cells[at.sampledNs] = Number.NaN;
  cells[at.proposed] = cells[at.accepted]! + cells[at.rejectedDrafts]!;
  new RequestSeries(page).settle(cells[at.received]!, at.firstToken, lost);
  cells[at.decodeTokens] = Math.max(cells[at.decodeTokens]!, at.firstToken.count + at.gaps.count);
}
