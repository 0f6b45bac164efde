import { type TileDefinition, thresholdsOf } from './panel-definition.ts';
import type { PanelExpression, Selection } from './panel-expression.ts';

const outcomes = (...values: string[]): Selection => ({ metric: 'gateway_requests_total', where: { outcome: values } });

/** Requests that had to succeed: what clients did wrong, cancelled or was refused in time is not our failure. */
const FAILURES: PanelExpression = {
  kind: 'ratio',
  of: [outcomes('server_error')],
  to: [outcomes('success', 'server_error')],
};

/** Row 1: single figures, coloured by the catalogue's thresholds. */
export const TILES: readonly TileDefinition[] = [
  {
    id: 'up',
    title: 'Engine',
    unit: 'state',
    windowSeconds: 0,
    help: 'Up while no GPU has failed, and steps end while requests are here.',
    expression: { kind: 'up', stalledSecondsMax: 5 },
    thresholds: [{ kind: 'critical', comparison: '<', value: 1 }],
  },
  {
    id: 'ttft-p99',
    title: 'TTFT p99',
    unit: 'seconds',
    windowSeconds: 300,
    help: '99 % of first tokens came within this time of the arrival.',
    expression: { kind: 'quantile', quantile: 0.99, of: 'time_to_first_token_seconds' },
    thresholds: thresholdsOf('time_to_first_token_seconds', 'p99'),
  },
  {
    id: 'throughput',
    title: 'Tokens per second',
    unit: 'tokens/s',
    windowSeconds: 30,
    help: 'Prompt tokens computed and output tokens delivered. The target is that of a fully loaded engine.',
    expression: {
      kind: 'rate',
      of: [{ metric: 'prefill_tokens_total' }, { metric: 'decode_tokens_total' }],
      per: 'second',
    },
    thresholds: thresholdsOf('tokens_per_second', 'value'),
  },
  {
    id: 'gpu-utilization',
    title: 'GPU utilization',
    unit: 'percent',
    windowSeconds: 0,
    help: 'SM utilization, mean over the GPUs.',
    expression: { kind: 'gauge', of: { metric: 'gpu_compute_utilization' }, aggregate: 'mean' },
    thresholds: thresholdsOf('gpu_compute_utilization', 'value'),
  },
  {
    id: 'kv-utilization',
    title: 'KV cache',
    unit: 'ratio',
    windowSeconds: 0,
    help: 'KV blocks referenced by live sequences; what is merely cached is free.',
    expression: { kind: 'gauge', of: { metric: 'kv_cache_utilization_ratio' } },
    thresholds: thresholdsOf('kv_cache_utilization_ratio', 'value'),
  },
  {
    id: 'errors',
    title: 'Errors',
    unit: 'ratio',
    windowSeconds: 300,
    help: 'Server errors among requests that succeeded or failed; cancelled and refused ones are neither.',
    expression: FAILURES,
    thresholds: [{ kind: 'critical', comparison: '>', value: 0.05 }],
  },
];
