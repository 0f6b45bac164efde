export * from './listener-slot.ts';
export * from './perfetto-export.ts';
export * from './read-timeline.ts';
export * from './slow-steps.ts';
export * from './timeline-buffer.ts';
export * from './timeline-record.ts';
export * from './timeline-recorder.ts';
export * from './timeline-ring.ts';
