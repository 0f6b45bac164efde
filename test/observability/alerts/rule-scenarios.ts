import type { MetricsPage } from '../../../src/observability/index.ts';

/** What one rule must say about a short story of metrics, one row every 15 s; each row is written as a server would. */
export interface RuleScenario {
  readonly alert: string;
  readonly story: string;
  /** Rows; the last one is when it is judged. */
  readonly rows: number;
  readonly write: (page: MetricsPage, row: number) => void;
  readonly down?: (row: number) => boolean;
  /** When it begins to fire, seconds; null: it does not. */
  readonly firesSeconds: number | null;
}

const HALF_HOUR_ROWS = 124;

type Gauge = Parameters<MetricsPage['cell']>;

function set(page: MetricsPage, value: number, ...gauge: Gauge): void {
  page.cells[page.cell(...gauge)] = value;
}

function add(page: MetricsPage, value: number, ...counter: Gauge): void {
  page.cells[page.cell(...counter)]! += value;
}

/** Per row 1,000 first tokens, so many of them after `slowSeconds`, the rest after `fastSeconds`. */
function firstTokens(slow: number, slowSeconds: number, fastSeconds = 0.1) {
  return (page: MetricsPage) => {
    const histogram = page.histogram('time_to_first_token_seconds');
    histogram.observe(slowSeconds, slow);
    histogram.observe(fastSeconds, 1000 - slow);
  };
}

function kvUsed(share: number) {
  return (page: MetricsPage) => {
    set(page, 1000, 'kv_cache_blocks_total');
    set(page, 1000 * share, 'kv_cache_blocks_used');
    set(page, 8, 'scheduler_running_batch_size');
  };
}

function steps(seconds: number) {
  return (page: MetricsPage) => page.histogram('scheduler_iteration_latency_seconds').observe(seconds, 500);
}

/** Queues, and how long ago a step ended. */
function heartbeat(page: MetricsPage, running: number, waiting: number, sinceSeconds: number): void {
  set(page, running, 'scheduler_running_batch_size');
  set(page, waiting, 'scheduler_waiting_queue_size');
  page.cells[page.hidden('sinceIterationSeconds')] = sinceSeconds;
}

function preemptions(perMinute: number, alsoForPriority = 0) {
  return (page: MetricsPage) => {
    add(page, perMinute / 4, 'scheduler_preemptions_total', 'memory_pressure');
    add(page, alsoForPriority / 4, 'scheduler_preemptions_total', 'priority');
  };
}

function outcomes(page: MetricsPage, success: number, failed: number, others = 0): void {
  add(page, success, 'gateway_requests_total', 'success');
  add(page, failed, 'gateway_requests_total', 'server_error');
  for (const outcome of ['rejected', 'cancelled', 'client_error']) add(page, others, 'gateway_requests_total', outcome);
}

function lookups(hits: number, misses: number) {
  return (page: MetricsPage) => {
    add(page, hits, 'prefix_cache_hit_total');
    add(page, misses, 'prefix_cache_miss_total');
  };
}

function drafts(accepted: number, rejected: number) {
  return (page: MetricsPage) => {
    add(page, accepted, 'speculative_tokens_accepted_total');
    add(page, rejected, 'speculative_tokens_rejected_total');
  };
}

const nothing = () => {};

export const RULE_SCENARIOS: readonly RuleScenario[] = [
  ...[
    { story: '1.1 % of the first tokens after 0.6 s', write: firstTokens(11, 0.6), firesSeconds: 315 },
    { story: '1 % after 0.6 s: p99 is 0.5 s, not more', write: firstTokens(10, 0.6), firesSeconds: null },
    { story: 'all after 0.45 s', write: firstTokens(0, 0, 0.45), firesSeconds: null },
    { story: 'no first token at all: NaN, other alerts must speak', write: nothing, firesSeconds: null },
  ].map((each) => ({ alert: 'HighTTFT', rows: 40, ...each })),
  ...[
    { story: '2 % after 0.35 s', write: firstTokens(20, 0.35), firesSeconds: 615 },
    // Without the bounds 0.25 and 0.3 the estimate would be 0.3125 s.
    { story: '1.6 % after 0.21 s, the rest within 0.2 s', write: firstTokens(16, 0.21, 0.2), firesSeconds: null },
  ].map((each) => ({ alert: 'ElevatedTTFT', rows: 60, ...each })),
  { alert: 'MemoryExhaustion', story: '98.1 %', rows: 12, write: kvUsed(0.981), firesSeconds: 120 },
  { alert: 'MemoryExhaustion', story: '98 %', rows: 12, write: kvUsed(0.98), firesSeconds: null },
  {
    alert: 'MemoryExhaustion',
    story: 'a moment below in every two minutes',
    rows: 40,
    write: (page, row) => kvUsed(row % 8 === 7 ? 0.97 : 0.99)(page),
    firesSeconds: null,
  },
  { alert: 'KVCacheHigh', story: '95.1 %', rows: 6, write: kvUsed(0.951), firesSeconds: 60 },
  { alert: 'KVCacheHigh', story: '95 %', rows: 12, write: kvUsed(0.95), firesSeconds: null },
  { alert: 'MemoryPressure', story: '90.1 %', rows: 24, write: kvUsed(0.901), firesSeconds: 300 },
  { alert: 'MemoryPressure', story: '90 %', rows: 24, write: kvUsed(0.9), firesSeconds: null },
  {
    alert: 'GPUFailure',
    story: 'one of two',
    rows: 8,
    write: (page, row) => {
      set(page, 1, 'gpu_health_status', '0');
      set(page, row >= 3 ? 0 : 1, 'gpu_health_status', '1');
    },
    firesSeconds: 75,
  },
  {
    alert: 'GPUFailure',
    story: 'well again within 30 s',
    rows: 8,
    write: (page, row) => set(page, row === 3 || row === 4 ? 0 : 1, 'gpu_health_status', '0'),
    firesSeconds: null,
  },
  {
    alert: 'RequestFailures',
    story: '6 % fail',
    rows: 20,
    write: (page) => outcomes(page, 94, 6),
    firesSeconds: 195,
  },
  {
    alert: 'RequestFailures',
    story: '5 % fail, and many more are refused, cancelled or wrong',
    rows: 20,
    write: (page) => outcomes(page, 95, 5, 500),
    firesSeconds: null,
  },
  {
    // A series that were born with its first error would have a rate of 0.
    alert: 'RequestFailures',
    story: 'the first errors ever come in half a minute',
    rows: 30,
    write: (page, row) => outcomes(page, 100, row === 10 || row === 11 ? 400 : 0),
    firesSeconds: 330,
  },
  { alert: 'RequestFailures', story: 'no request at all', rows: 20, write: nothing, firesSeconds: null },
  // With a last bound of 50 ms the quantile could never be above it.
  { alert: 'SchedulerStall', story: 'every step takes 80 ms', rows: 10, write: steps(0.08), firesSeconds: 75 },
  { alert: 'SchedulerStall', story: 'every step takes 40 ms', rows: 10, write: steps(0.04), firesSeconds: null },
  {
    // The histogram stands still: its quantile is NaN.
    alert: 'SchedulerStall',
    story: 'no step ends while sequences run',
    rows: 12,
    write: (page, row) => heartbeat(page, 4, 0, row * 15),
    firesSeconds: 75,
  },
  {
    alert: 'SchedulerStall',
    story: 'no step ends while sequences only wait',
    rows: 12,
    write: (page, row) => heartbeat(page, 0, 3, row * 15),
    firesSeconds: 75,
  },
  {
    alert: 'SchedulerStall',
    story: 'no step ends since nobody asks for anything',
    rows: 40,
    write: (page, row) => heartbeat(page, 0, 0, row * 15),
    firesSeconds: null,
  },
  {
    alert: 'SchedulerStall',
    story: 'a step every 9 s',
    rows: 40,
    write: (page) => heartbeat(page, 4, 100, 9),
    firesSeconds: null,
  },
  { alert: 'SchedulerBottleneck', story: 'every step takes 6 ms', rows: 30, write: steps(0.006), firesSeconds: 315 },
  { alert: 'SchedulerBottleneck', story: 'every step takes 4 ms', rows: 30, write: steps(0.004), firesSeconds: null },
  {
    alert: 'KVCacheOrphanedBlocks',
    story: 'one block, found once',
    rows: 4,
    write: (page, row) => set(page, row === 3 ? 1 : 0, 'kv_cache_orphaned_blocks'),
    firesSeconds: 45,
  },
  { alert: 'KVCacheOrphanedBlocks', story: 'none', rows: 4, write: nothing, firesSeconds: null },
  {
    alert: 'EngineDown',
    story: 'the process is gone',
    rows: 8,
    write: nothing,
    down: (row) => row >= 2,
    firesSeconds: 90,
  },
  {
    alert: 'EngineDown',
    story: 'it is back within a minute',
    rows: 12,
    write: nothing,
    down: (row) => row >= 2 && row < 6,
    firesSeconds: null,
  },
  // Neither reason alone is above 5. The first minutes count for less: the range is not full yet.
  { alert: 'HighPreemption', story: '4 + 4 per minute', rows: 60, write: preemptions(4, 4), firesSeconds: 780 },
  { alert: 'HighPreemption', story: '4 per minute', rows: 60, write: preemptions(4), firesSeconds: null },
  { alert: 'PreemptionCapacity', story: '12 per minute', rows: 40, write: preemptions(12), firesSeconds: 540 },
  { alert: 'PreemptionCapacity', story: '10 per minute', rows: 40, write: preemptions(8, 2), firesSeconds: null },
  {
    alert: 'LowCacheHit',
    story: '19 of 100 are hits',
    rows: HALF_HOUR_ROWS,
    write: lookups(19, 81),
    firesSeconds: 1815,
  },
  { alert: 'LowCacheHit', story: '1 of 4 is a hit', rows: HALF_HOUR_ROWS, write: lookups(1, 3), firesSeconds: null },
  {
    alert: 'LowCacheHit',
    story: 'nothing is looked up: 0/0',
    rows: HALF_HOUR_ROWS,
    write: nothing,
    firesSeconds: null,
  },
  { alert: 'SpeculationIneffective', story: '49 of 100', rows: 60, write: drafts(49, 51), firesSeconds: 615 },
  { alert: 'SpeculationIneffective', story: '1 of 2', rows: 60, write: drafts(1, 1), firesSeconds: null },
  { alert: 'SpeculationIneffective', story: 'it is off: 0/0', rows: 60, write: nothing, firesSeconds: null },
  { alert: 'QueueBacklog', story: '101 wait', rows: 6, write: (page) => heartbeat(page, 8, 101, 0), firesSeconds: 60 },
  {
    alert: 'QueueBacklog',
    story: '100 wait',
    rows: 9,
    write: (page) => heartbeat(page, 8, 100, 0),
    firesSeconds: null,
  },
  ...[
    { story: '51 are swapped out', swapped: 51, firesSeconds: 300 },
    { story: '50 are swapped out', swapped: 50, firesSeconds: null },
  ].map(({ story, swapped, firesSeconds }) => ({
    alert: 'SwappedQueueHigh',
    story,
    rows: 24,
    write: (page: MetricsPage) => set(page, swapped, 'scheduler_swapped_queue_size'),
    firesSeconds,
  })),
  ...[
    { story: 'blocks stay in use while nothing runs', running: 0, firesSeconds: 300 },
    { story: 'one sequence runs', running: 1, firesSeconds: null },
  ].map(({ story, running, firesSeconds }) => ({
    alert: 'KVCacheLeak',
    story,
    rows: 24,
    write: (page: MetricsPage) => {
      kvUsed(0.01)(page);
      set(page, running, 'scheduler_running_batch_size');
    },
    firesSeconds,
  })),
  ...[
    { story: '120 blocks per minute', perRow: 30, firesSeconds: 540 },
    { story: '100 blocks per minute', perRow: 25, firesSeconds: null },
  ].map(({ story, perRow, firesSeconds }) => ({
    alert: 'PrefixCacheTooSmall',
    story,
    rows: 40,
    write: (page: MetricsPage) => add(page, perRow, 'prefix_cache_evictions_total'),
    firesSeconds,
  })),
];
