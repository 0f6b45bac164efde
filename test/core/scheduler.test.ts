import { describe, expect, it } from 'vitest';
import { type EngineConfig, StreamTokens } from '../../src/core/index.ts';
import { EngineRig } from '../support/engine-rig.ts';

/** What an engine decides, step by step, up to the step before the first end; outputs have these true lengths. */
function decisions(trueLengths: readonly number[], config: Partial<EngineConfig>): { steps: string[]; rig: EngineRig } {
  const rig = new EngineRig({ config, limits: { impliedTokens: true, stepsMax: 1 } });
  trueLengths.forEach((impliedOutputTokens, i) => {
    rig.submit({ prompt: new StreamTokens(10 + i, i), outputTokensMax: 30, impliedOutputTokens });
  });
  const steps: string[] = [];
  for (;;) {
    const plan = rig.begin()!;
    const rows = Array.from({ length: plan.rows }, (_, row) => [
      plan.sequences[row]!.request.id,
      plan.contextTokens[row],
      plan.newTokens[row],
    ]);
    const waiting = rig.engine.scheduler.waiting.size;
    const before = rig.engine.totals.ended;
    rig.end();
    if (rig.engine.totals.ended > before) return { steps, rig };
    steps.push(
      JSON.stringify({ rows, waiting, why: rig.engine.scheduler.waitReason, evicted: rig.preemptions.length }),
    );
  }
}

describe('Scheduler', () => {
  it.each<Partial<EngineConfig>>([
    { capacity: 'as-needed' },
    { capacity: 'as-needed', victim: 'tail' },
    { capacity: 'as-needed', preemption: 'swap', hostBlocksTotal: 16 },
    { capacity: 'reserve-prompt' },
    { capacity: 'overcommit' },
    { capacity: 'guaranteed-no-evict' },
  ])('decides the same whatever the true lengths of outputs are, until the first end: %j', (config) => {
    const short = decisions([8, 9, 10, 11], config);
    const long = decisions([28, 21, 29, 25], config);
    expect(short.steps.length).toBeGreaterThan(6);
    expect(long.steps.slice(0, short.steps.length)).toEqual(short.steps);
    if (config.capacity === 'as-needed') expect(short.rig.preemptions.length).toBeGreaterThan(0);
  });
});
