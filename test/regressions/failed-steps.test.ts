import { describe, expect, it } from 'vitest';
import { EngineRig } from '../support/engine-rig.ts';

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

describe('failed steps', () => {
  it('a step that fails is computed again', () => {
    const rig = new EngineRig();
    const sequence = rig.submit({ prompt: numbers(10) });
    rig.step();
    rig.begin();
    rig.end({ status: 'transient' });
    rig.finish();
    expect(rig.heardOf(sequence).tokens).toEqual(rig.memory!.output(sequence, 4));
  });

  it('a step that fails again and again ends its sequences', () => {
    const rig = new EngineRig({ config: { failuresMax: 2 } });
    const sequence = rig.submit({ prompt: numbers(10) });
    for (let i = 0; i < 3; i++) {
      rig.begin();
      rig.end({ status: 'transient' });
    }
    expect(rig.heardOf(sequence).ends).toEqual(['error']);
  });

  it('failures that are not in a row do not add up', () => {
    const rig = new EngineRig({ config: { failuresMax: 2 } });
    const sequence = rig.submit({ prompt: numbers(10), outputTokensMax: 8 });
    for (let i = 0; i < 4; i++) {
      rig.begin();
      rig.end({ status: 'transient' });
      rig.step();
    }
    expect(sequence.state).toBe('running');
  });

  it('no step is planned behind a failed one that is still in flight', () => {
    const rig = new EngineRig({ config: { stepsInFlight: 2 } });
    const sequence = rig.submit({ prompt: numbers(10), outputTokensMax: 8 });
    rig.begin();
    rig.begin();
    rig.end({ status: 'transient' });
    expect(rig.begin()).toBeNull();
    rig.end({ status: 'transient' });
    rig.finish();
    expect(rig.heardOf(sequence).tokens).toEqual(rig.memory!.output(sequence, 8));
  });

  it('blocks of a failed step are not left behind a fence', () => {
    const rig = new EngineRig();
    rig.submit({ prompt: numbers(10) });
    rig.begin();
    rig.end({ status: 'transient' });
    expect({ fenced: rig.engine.kv.pool.fenced, available: rig.engine.kv.pool.available }).toEqual({
      fenced: 0,
      available: 16,
    });
  });

  it('what a failed step was to swap out is computed again', () => {
    const rig = new EngineRig({
      profile: 'vllm-v1',
      config: { stepsInFlight: 1, blocksTotal: 8, prefixCaching: false, preemption: 'swap', hostBlocksTotal: 8 },
    });
    rig.submit({ prompt: numbers(15), outputTokensMax: 12 });
    const victim = rig.submit({ prompt: numbers(15, 100), outputTokensMax: 12 });
    while (rig.preemptions.length === 0) {
      rig.begin();
      if (rig.preemptions.length > 0) rig.end({ status: 'transient' });
      else rig.end();
    }
    expect(victim.state).toBe('waiting');
    rig.finish();
    expect(rig.heardOf(victim).tokens).toEqual(rig.memory!.output(victim, 12));
  });

  it('a lost device ends everybody and takes nobody', () => {
    const rig = new EngineRig({ config: { sequencesMax: 1 } });
    const running = rig.submit({ prompt: numbers(10) });
    const waiting = rig.submit({ prompt: numbers(10, 50) });
    rig.begin();
    rig.end({ status: 'device-lost' });
    rig.submit({ prompt: numbers(3) });
    expect([running, waiting].map((sequence) => rig.heardOf(sequence).ends)).toEqual([['error'], ['error']]);
    expect(rig.rejections).toEqual(['device-lost']);
    expect(rig.engine.idle).toBe(true);
  });
});
