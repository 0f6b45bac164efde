export * from './keep-rules.ts';
export * from './request-spans.ts';
export * from './sequence-record.ts';
export type { DeviceNames } from './sequence-spans.ts';
export * from './span.ts';
export * from './span-recorder.ts';
export * from './trace-context.ts';
export * from './trace-exemplars.ts';
export * from './trace-metrics.ts';
