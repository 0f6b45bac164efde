import { describe, expect, it } from 'vitest';
import { chooseVictim, engineConfig, type Sequence } from '../../src/core/index.ts';
import { EngineRig, type RigOptions } from '../support/engine-rig.ts';

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

/** Two requests of 15 tokens in 8 blocks of 4: both fill their fourth block, then one has to go. */
function crowded(options: RigOptions = {}): { rig: EngineRig; first: Sequence; second: Sequence } {
  const config = { stepsInFlight: 1 as const, blocksTotal: 8, prefixCaching: false, ...options.config };
  const rig = new EngineRig({ ...options, profile: 'vllm-v1', config });
  const first = rig.submit({ prompt: numbers(15), outputTokensMax: 12, priority: 2 });
  const second = rig.submit({ prompt: numbers(15, 100), outputTokensMax: 12, priority: 1 });
  return { rig, first, second };
}

/**
 * The less urgent one is planned first and takes the last block; the urgent one, planned after it, needs a block in the same
 * step, which is the next to be planned.
 */
function scheduledVictim(): { rig: EngineRig; first: Sequence; second: Sequence } {
  const rig = new EngineRig({
    profile: 'vllm-v1',
    config: { stepsInFlight: 1, order: 'priority', blocksTotal: 9, prefixCaching: false },
  });
  const first = rig.submit({ prompt: numbers(15), outputTokensMax: 8, priority: 2 });
  rig.step();
  const second = rig.submit({ prompt: numbers(16, 100), outputTokensMax: 8, priority: 1 });
  rig.step();
  return { rig, first, second };
}

describe('preemption', () => {
  it('a sequence resumed after preemption restarts its computed count', () => {
    const { rig, second } = crowded();
    while (rig.preemptions.length === 0) rig.step();
    expect({ victim: rig.preemptions[0]!.victim, computed: second.computedTokens, blocks: second.blocks }).toEqual({
      victim: second,
      computed: 0,
      blocks: 0,
    });
    rig.finish();
    expect(rig.heardOf(second).tokens).toEqual(rig.memory!.output(second, 12));
  });

  it('preempting a scheduled row takes it out of the step', () => {
    const { rig, first } = scheduledVictim();
    const plan = rig.begin()!;
    expect(rig.preemptions.map((preemption) => preemption.victim)).toEqual([first]);
    expect(plan.sequences.slice(0, plan.rows)).not.toContain(first);
    rig.end();
    rig.finish();
    expect(rig.heardOf(first).tokens).toEqual(rig.memory!.output(first, 8));
  });

  it('a scheduled victim leaves no block of its row in the plan', () => {
    const { rig, second } = scheduledVictim();
    const plan = rig.begin()!;
    expect([...plan.newBlocks.slice(0, 2 * plan.newBlockCount)]).toEqual([second.slot, rig.blocksOf(second).at(-1)]);
  });

  it('victims of a shortage are not preempted again and again', () => {
    const config = engineConfig('twinfer', { preemptionsMax: 3 });
    const rig = new EngineRig();
    const often = rig.submit({ prompt: numbers(2) });
    const never = rig.submit({ prompt: numbers(20) });
    rig.step();
    const running = [often, never];
    expect(chooseVictim(running, 2, config, 100)).toBe(0);
    often.preemptions = 3;
    expect(chooseVictim(running, 2, config, 100)).toBe(1);
    never.preemptions = 5;
    expect(chooseVictim(running, 2, config, 100), 'all are pinned: the last of the order').toBe(1);
  });

  it('a less urgent sequence is preempted before an urgent one that costs less', () => {
    const config = engineConfig('twinfer', { order: 'priority' });
    const rig = new EngineRig({ config: { order: 'priority' } });
    const urgent = rig.submit({ prompt: numbers(2), priority: 0 });
    const patient = rig.submit({ prompt: numbers(20), priority: 5 });
    rig.step();
    expect(chooseVictim([urgent, patient], 2, config, 100)).toBe(1);
  });

  it('a step in which a sequence preempts itself is planned again without it', () => {
    const rig = new EngineRig({ config: { blocksTotal: 8, capacity: 'as-needed', prefixCaching: false } });
    const cheap = rig.submit({ prompt: numbers(7), outputTokensMax: 8 });
    const dear = rig.submit({ prompt: numbers(22, 100), outputTokensMax: 8 });
    while (rig.preemptions.length === 0) rig.step();
    expect(rig.preemptions[0]!.victim).toBe(cheap);
    rig.finish();
    expect([cheap, dear].map((sequence) => rig.heardOf(sequence).ends)).toEqual([['length'], ['length']]);
  });

  it('a sequence that preempts itself does not end planning for those behind it', () => {
    const config = { blockSize: 16, blocksTotal: 23, sequencesMax: 6, tokensPerStepMax: 320, modelLenMax: 320 };
    const rig = new EngineRig({ config: { ...config, capacity: 'as-needed' } });
    const outputTokensMax = 40;
    const first = rig.submit({ prompt: numbers(47), outputTokensMax });
    rig.step();
    // The second prompt continues the first, whose blocks are all shared: its preemption frees none.
    const prompt = [...numbers(47), ...rig.heardOf(first).tokens, ...numbers(128, 1000)];
    const second = rig.submit({ prompt, outputTokensMax });
    const third = rig.submit({ prompt: [...prompt.slice(0, 64), ...numbers(192, 2000)], outputTokensMax });
    rig.step();
    expect({ available: rig.engine.kv.pool.available, preempted: rig.preemptions }).toEqual({
      available: 0,
      preempted: [],
    });
    const plan = rig.begin()!;
    expect(rig.preemptions.map((preemption) => preemption.victim)).toEqual([first, second]);
    expect(plan.sequences.slice(0, plan.rows)).toEqual([third]);
    rig.end();
    rig.finish();
    expect([first, second, third].map((sequence) => rig.heardOf(sequence).ends.join())).toEqual([
      'length',
      'length',
      'length',
    ]);
  });

  it('a step in which one after the other preempts itself is planned until one is left that does not', () => {
    const config = { blocksTotal: 7, capacity: 'as-needed', prefillChunkTokensMax: 8, prefixCaching: false } as const;
    const rig = new EngineRig({ config: { ...config, victim: 'tail', order: 'priority' } });
    const least = rig.submit({ prompt: numbers(2), outputTokensMax: 8, priority: 3 });
    rig.step();
    const less = rig.submit({ prompt: numbers(24, 100), outputTokensMax: 2, priority: 2 });
    rig.step();
    const urgent = rig.submit({ prompt: numbers(16, 200), outputTokensMax: 4, priority: 1 });
    rig.step();
    const plan = rig.begin()!;
    expect(rig.preemptions.map((preemption) => preemption.victim)).toEqual([least, less]);
    expect(plan.sequences[0]).toBe(urgent);
    rig.end();
    rig.finish();
    expect([least, less, urgent].map((sequence) => rig.heardOf(sequence).ends.join())).toEqual([
      'length',
      'length',
      'length',
    ]);
  });

  it('blocks behind a fence are waited for, nobody is preempted for them', () => {
    const rig = new EngineRig({
      config: { stepsInFlight: 2, blocksTotal: 8, capacity: 'as-needed', prefixCaching: false },
    });
    const gone = rig.submit({ prompt: numbers(15), outputTokensMax: 4 });
    const stays = rig.submit({ prompt: numbers(16, 100), outputTokensMax: 4 });
    rig.begin();
    rig.engine.abort(gone.request.id);
    rig.begin();
    expect(rig.preemptions).toHaveLength(0);
    expect(stays.state).toBe('running');
    rig.finish();
    expect(rig.heardOf(stays).ends).toEqual(['length']);
  });

  it('a sequence whose token is in flight is not swapped out', () => {
    const { rig } = crowded({ config: { stepsInFlight: 2, preemption: 'swap', hostBlocksTotal: 8 } });
    while (rig.preemptions.length === 0) {
      rig.begin();
      rig.begin();
      if (rig.backend.out.length > 0) rig.end();
    }
    expect(rig.preemptions[0]!.swapped).toBe(false);
  });

  it('a swapped sequence comes back with what it had', () => {
    const { rig, second } = crowded({ config: { preemption: 'swap', hostBlocksTotal: 8, prefillChunkTokensMax: 5 } });
    rig.finish();
    expect(rig.preemptions.some((preemption) => preemption.swapped)).toBe(true);
    expect(rig.heardOf(second).tokens).toEqual(rig.memory!.output(second, 12));
    expect(second.recomputedPromptTokens).toBe(0);
  });

  it('what is computed again is counted apart from what is computed first', () => {
    const { rig, second } = crowded();
    rig.finish();
    expect(second.preemptions).toBeGreaterThan(0);
    expect(second.scheduledPromptTokens).toBe(15 + second.recomputedPromptTokens);
    expect(second.recomputedPromptTokens).toBe(15 * second.preemptions);
  });
});
