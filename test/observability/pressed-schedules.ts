import fc from 'fast-check';
import type { LoggedRunOptions } from './logged-engine.ts';

/** Small engines under pressure, with all that can happen to a request. */
export const schedules = fc.record({
  profile: fc.constantFrom('twinfer' as const, 'vllm-v1' as const),
  config: fc.record({
    blockSize: fc.constant(4),
    blocksTotal: fc.integer({ min: 14, max: 40 }),
    hostBlocksTotal: fc.constant(32),
    sequencesMax: fc.integer({ min: 1, max: 6 }),
    tokensPerStepMax: fc.integer({ min: 6, max: 40 }),
    modelLenMax: fc.constant(48),
    stepsInFlight: fc.constantFrom(1 as const, 2 as const),
    preemption: fc.constantFrom('recompute' as const, 'swap' as const),
    order: fc.constantFrom('fcfs' as const, 'priority' as const),
    speculation: fc.constantFrom(null, {
      draftTokensMax: 3,
      lookaheadTokens: 0,
      runningOffMin: 5,
      runningOnMax: 4,
      acceptanceOffMax: 0,
      acceptanceOnMin: 0,
      retrySteps: 1,
    }),
  }),
  requests: fc.array(
    fc.record({
      arrivalNs: fc.integer({ min: 0, max: 40_000 }),
      stream: fc.integer({ min: 1, max: 3 }),
      promptTokens: fc.integer({ min: 1, max: 30 }),
      outputTokensMax: fc.integer({ min: 1, max: 14 }),
      n: fc.constantFrom(1, 1, 1, 2),
      priority: fc.integer({ min: 0, max: 2 }),
      deadlineNs: fc.constantFrom(Number.POSITIVE_INFINITY, 30_000),
    }),
    { minLength: 1, maxLength: 16 },
  ),
  failures: fc
    .array(fc.tuple(fc.integer({ min: 0, max: 60 }), fc.constantFrom('transient' as const, 'sticky' as const)), {
      maxLength: 2,
    })
    .map((entries) => new Map(entries)),
});

/** With its requests in order of arrival. */
export const orders = (run: LoggedRunOptions): LoggedRunOptions => ({
  ...run,
  requests: [...run.requests].sort((a, b) => a.arrivalNs - b.arrivalNs),
});
