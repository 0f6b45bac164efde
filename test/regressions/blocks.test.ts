import { describe, expect, it } from 'vitest';
import { NONE } from '../../src/core/index.ts';
import { EngineRig } from '../support/engine-rig.ts';

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

function listOf(rig: EngineRig): number[] {
  const { pool } = rig.engine.kv;
  const list: number[] = [];
  for (let block = pool.head(); block !== NONE; block = pool.following(block)) list.push(block);
  return list;
}

describe('blocks', () => {
  it('an aborted sequence in flight is not freed twice', () => {
    const rig = new EngineRig();
    const sequence = rig.submit({ prompt: numbers(10) });
    rig.begin();
    rig.engine.abort(sequence.request.id);
    rig.end();
    const list = listOf(rig);
    expect(new Set(list).size).toBe(list.length);
    expect(list).toHaveLength(16);
    expect(rig.heardOf(sequence).ends).toEqual(['abort']);
  });

  it('a preempted sequence that is aborted is not freed twice', () => {
    const rig = new EngineRig({
      profile: 'vllm-v1',
      config: { stepsInFlight: 1, blocksTotal: 8, prefixCaching: false },
    });
    rig.submit({ prompt: numbers(15), outputTokensMax: 12 });
    const victim = rig.submit({ prompt: numbers(15, 100), outputTokensMax: 12 });
    while (rig.preemptions.length === 0) rig.step();
    rig.engine.abort(victim.request.id);
    rig.finish();
    expect(new Set(listOf(rig)).size).toBe(8);
  });

  it('blocks of a step in flight are not reused before it ends', () => {
    const rig = new EngineRig({ config: { stepsInFlight: 2, blocksTotal: 5 } });
    const gone = rig.submit({ prompt: numbers(12), outputTokensMax: 4 });
    rig.begin();
    rig.engine.abort(gone.request.id);
    const next = rig.submit({ prompt: numbers(12, 100), outputTokensMax: 4 });
    expect(rig.begin()).toBeNull();
    rig.end();
    rig.begin();
    expect(rig.blocksOf(next)).toHaveLength(3);
  });

  it('tails are evicted before heads', () => {
    const rig = new EngineRig({ config: { blocksTotal: 6 } });
    const first = rig.submit({ prompt: numbers(16), outputTokensMax: 1 });
    rig.begin();
    const blocks = rig.blocksOf(first);
    rig.end();
    rig.submit({ prompt: numbers(15, 100), outputTokensMax: 1 });
    rig.finish();
    expect(rig.evictions).toEqual([blocks[3], blocks[2]]);
  });

  it('evictable blocks are not counted twice', () => {
    const rig = new EngineRig({
      config: { blocksTotal: 8, capacity: 'as-needed', bypassMax: 0, partialPrefixHits: false },
    });
    rig.submit({ prompt: numbers(16), outputTokensMax: 1 });
    rig.finish();
    rig.submit({ prompt: numbers(11, 100), outputTokensMax: 4 });
    rig.step();
    // 5 blocks are available: 4 hits of the next prompt, and 1. It wants 4 hits and 2 more.
    const late = rig.submit({ prompt: numbers(24), outputTokensMax: 1 });
    rig.step();
    expect(late.state).toBe('waiting');
    rig.finish();
    expect(rig.heardOf(late).ends).toEqual(['length']);
  });

  it('a refused admission changes no reference count', () => {
    const rig = new EngineRig({ config: { blocksTotal: 8, capacity: 'as-needed', bypassMax: 0 } });
    rig.submit({ prompt: numbers(21), outputTokensMax: 4 });
    rig.step();
    const before = { list: listOf(rig), used: rig.engine.kv.pool.used };
    rig.submit({ prompt: numbers(20, 100), outputTokensMax: 4 });
    rig.step();
    expect({ list: listOf(rig), used: rig.engine.kv.pool.used }).toEqual(before);
  });

  it('a shared block outlives its first owner', () => {
    const rig = new EngineRig({ config: { blocksTotal: 12 } });
    const first = rig.submit({ prompt: numbers(9), outputTokensMax: 2 });
    rig.step();
    const second = rig.submit({ prompt: numbers(9), outputTokensMax: 8 });
    rig.step();
    rig.step();
    expect(first.state).toBe('finished');
    expect(rig.engine.kv.pool.refs(rig.blocksOf(second)[0]!)).toBe(1);
    rig.submit({ prompt: numbers(24, 100), outputTokensMax: 4 });
    rig.finish();
    expect(rig.heardOf(second).tokens).toEqual(rig.memory!.output(second, 8));
  });

  it('a partial hit does not write into the block it shares', () => {
    const rig = new EngineRig();
    const first = rig.submit({ prompt: numbers(8), outputTokensMax: 6 });
    rig.step();
    const second = rig.submit({ prompt: [...numbers(6), 90, 91], outputTokensMax: 6 });
    rig.begin();
    expect(rig.admissions.at(-1)!.hitTokens).toBe(6);
    expect(rig.blocksOf(second)[1]).not.toBe(rig.blocksOf(first)[1]);
    rig.end();
    rig.finish();
    expect(rig.heardOf(second).tokens).toEqual(rig.memory!.output(second, 6));
  });

  it('host blocks of a swapped sequence that is aborted return', () => {
    const rig = new EngineRig({
      profile: 'vllm-v1',
      config: { stepsInFlight: 1, blocksTotal: 8, prefixCaching: false, preemption: 'swap', hostBlocksTotal: 8 },
    });
    rig.submit({ prompt: numbers(15), outputTokensMax: 12 });
    const victim = rig.submit({ prompt: numbers(15, 100), outputTokensMax: 12 });
    while (rig.preemptions.length === 0) rig.step();
    expect(victim.state).toBe('swapped');
    expect(rig.engine.kv.hostAvailable).toBe(4);
    rig.engine.abort(victim.request.id);
    expect(rig.engine.kv.hostAvailable).toBe(8);
  });

  it('slots of sequences that have ended are used again', () => {
    const rig = new EngineRig({ config: { sequencesMax: 2 } });
    for (let i = 0; i < 7; i++) rig.submit({ prompt: numbers(3, 10 * i), outputTokensMax: 2 });
    rig.finish();
    expect(rig.engine.totals.completed).toBe(7);
  });
});
