import type { MetricDefinition } from './metric-definition.ts';
import { DROP_REASONS, KEEP_REASONS } from './spans/keep-rules.ts';

/** Traces: what was kept, and what became of it. All 0 while tracing is off. */
export const TRACING_METRICS = [
  {
    name: 'tracing_traces_kept_total',
    type: 'counter',
    unit: 'traces',
    writer: 'gateway',
    help: 'Traces that were kept, by the strongest reason',
    labels: [{ name: 'reason', values: KEEP_REASONS }],
  },
  {
    name: 'tracing_spans_exported_total',
    type: 'counter',
    unit: 'spans',
    writer: 'gateway',
    help: 'Spans that the collector has taken',
  },
  {
    name: 'tracing_spans_dropped_total',
    type: 'counter',
    unit: 'spans',
    writer: 'gateway',
    help: 'Spans of kept traces that were lost: no room in the queue before the exporter, or the collector did not take them',
    labels: [{ name: 'reason', values: DROP_REASONS }],
  },
] as const satisfies readonly MetricDefinition[];
