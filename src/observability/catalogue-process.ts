import type { MetricDefinition } from './metric-definition.ts';

/** The process that serves: gateway, engine thread and tokenizer threads together, but for what is said of one thread. */
export const PROCESS_METRICS = [
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    unit: 'seconds',
    writer: 'gateway',
    help: 'When the process started, seconds since 1970',
    absentAtStart: true,
  },
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    unit: 'seconds',
    writer: 'gateway',
    help: 'Processor time of the process, user and system, all threads',
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    unit: 'bytes',
    writer: 'gateway',
    help: 'Memory of the process that is in RAM',
    absentAtStart: true,
  },
  {
    name: 'process_open_fds',
    type: 'gauge',
    unit: 'descriptors',
    writer: 'gateway',
    help: 'Open file descriptors, connections included; absent where the system does not tell',
    absentAtStart: true,
  },
  {
    name: 'gateway_heap_used_bytes',
    type: 'gauge',
    unit: 'bytes',
    writer: 'gateway',
    help: "JavaScript heap in use, of the gateway's thread; what grows without end leaks",
    absentAtStart: true,
  },
  {
    name: 'gateway_gc_seconds_total',
    type: 'counter',
    unit: 'seconds',
    writer: 'gateway',
    help: "Time that the gateway's thread stood still to collect garbage",
  },
  {
    name: 'gateway_gc_runs_total',
    type: 'counter',
    unit: 'collections',
    writer: 'gateway',
    help: "Garbage collections of the gateway's thread",
    labels: [{ name: 'kind', values: ['minor', 'major', 'incremental', 'weakcb'] }],
  },
] as const satisfies readonly MetricDefinition[];
