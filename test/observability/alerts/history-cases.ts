import fc from 'fast-check';
import {
  createMetricsPage,
  MetricsHistory,
  type MetricsPage,
  MetricsSnapshot,
} from '../../../src/observability/index.ts';

/** A history made to be difficult: near the thresholds, with restarts, failed scrapes, missing rows, series that come and go. */
export interface HistoryCase {
  readonly seed: number;
  /** Rows lie on a grid of so many seconds. */
  readonly gridSeconds: number;
  /** Grid points between a row and the next one. */
  readonly strides: readonly number[];
}

export const HISTORY_CASE: fc.Arbitrary<HistoryCase> = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  gridSeconds: fc.constantFrom(15, 15, 15, 5, 1),
  strides: fc.array(
    fc.oneof(
      { weight: 30, arbitrary: fc.constant(1) },
      { weight: 4, arbitrary: fc.integer({ min: 1, max: 9 }) },
      { weight: 1, arbitrary: fc.integer({ min: 20, max: 30 }) },
    ),
    { minLength: 60, maxLength: 140 },
  ),
});

/** The history of a case; its times begin at `startSeconds`. */
export function historyOfCase({ seed, gridSeconds, strides }: HistoryCase, startSeconds: number): MetricsHistory {
  const random = mulberry32(seed);
  const history = new MetricsHistory({ rowsMax: Number.POSITIVE_INFINITY, intervalSeconds: gridSeconds });
  const snapshot = new MetricsSnapshot();
  let page = createMetricsPage();
  const world = new World(random);
  // On the fine grid a stride is of many points, more or less: no two distances between rows are equal.
  const unit = gridSeconds === 1 ? 13 : 1;
  let at = 0;
  let down = false;
  for (const stride of strides) {
    const seconds = startSeconds + at * gridSeconds;
    at += stride * unit - Math.floor((random() * unit) / 2);
    if (random() < 0.01) page = createMetricsPage();
    world.turn(page);
    snapshot.take(page);
    down = random() < (down ? 0.8 : 0.02);
    if (down) history.addDown(seconds);
    else history.add(seconds, snapshot.cells);
  }
  return history;
}

/** Moves a page on as a server in changing trouble would. */
class World {
  private readonly random: () => number;
  /** Each kind of trouble goes on for some rows, so that alerts have the time to fire. */
  private readonly moods = new Float64Array(16);

  constructor(random: () => number) {
    this.random = random;
    for (let i = 0; i < this.moods.length; i++) this.moods[i] = random();
  }

  turn(page: MetricsPage): void {
    const { random, moods } = this;
    for (let i = 0; i < moods.length; i++) if (random() < 0.06) moods[i] = random();
    this.gauges(page);
    const { cells } = page;
    const add = (cell: number, mood: number, most: number) => {
      if (moods[mood]! > 0.15) cells[cell]! += Math.floor(random() * most * moods[mood]!);
    };
    add(page.cell('gateway_requests_total', 'success'), 4, 60);
    add(page.cell('gateway_requests_total', 'server_error'), 5, 6);
    add(page.cell('gateway_requests_total', 'cancelled'), 5, 6);
    add(page.cell('scheduler_preemptions_total', 'memory_pressure'), 6, 12);
    add(page.cell('scheduler_preemptions_total', 'priority'), 7, 6);
    add(page.cell('prefix_cache_hit_total'), 8, 10);
    add(page.cell('prefix_cache_miss_total'), 9, 50);
    add(page.cell('prefix_cache_evictions_total'), 9, 150);
    add(page.cell('speculative_tokens_accepted_total'), 10, 10);
    add(page.cell('speculative_tokens_rejected_total'), 11, 10);
    add(page.cell('gpu_forward_seconds_total', 'decode'), 10, 1000);
    cells[page.cell('gpu_forward_seconds_total', 'prefill')]! += random();
    if (moods[12]! > 0.2) {
      const firstTokens = page.histogram('time_to_first_token_seconds');
      for (let i = 0; i < 20 * moods[12]!; i++) firstTokens.observe(moods[13]! ** 2 * 0.6 * random());
      if (moods[13]! > 0.9) firstTokens.observe(100, 1);
    }
    if (moods[14]! > 0.2) page.histogram('scheduler_iteration_latency_seconds').observe(moods[15]! ** 6 * 0.2, 40);
  }

  private gauges(page: MetricsPage): void {
    const { random, moods } = this;
    const { cells } = page;
    cells[page.cell('kv_cache_blocks_total')] = 1000;
    const nearFull = moods[0]! > 0.3 ? 0.88 + 0.13 * moods[1]! : moods[0]! < 0.1 ? 0 : 0.004 + random() * 0.01;
    cells[page.cell('kv_cache_blocks_used')] = Math.min(1000, Math.round(1000 * nearFull));
    const idle = moods[2]! < 0.3;
    cells[page.cell('scheduler_running_batch_size')] = idle ? 0 : Math.floor(random() * 3);
    cells[page.cell('scheduler_waiting_queue_size')] = idle ? 0 : Math.floor(moods[3]! * 140);
    cells[page.cell('scheduler_swapped_queue_size')] = idle ? 0 : Math.floor(moods[4]! * 70);
    cells[page.hidden('sinceIterationSeconds')] = moods[5]! < 0.2 ? Number.NaN : moods[5]! * 12;
    cells[page.cell('kv_cache_orphaned_blocks')] = moods[6]! > 0.9 ? 2 : 0;
    for (const [i, gpu] of ['0', '1', '2'].entries()) {
      const mood = moods[7 + i]!;
      cells[page.cell('gpu_health_status', gpu)] = mood < 0.3 ? Number.NaN : mood < 0.5 ? 0 : 1;
    }
  }
}

/** A small generator of numbers in [0, 1), the same for the same seed. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
