import { describe, expect, it } from 'vitest';
import { ArrayTokens, type BlockKey, type TokenSource } from '../../src/core/index.ts';
import { EngineRig } from '../support/engine-rig.ts';

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

/** A prompt whose blocks all have one hash: the worst that a hash, or an attacker, can do. */
class CollidingTokens implements TokenSource {
  readonly length: number;
  readonly endless = false;
  readonly array: Int32Array;

  constructor(tokens: readonly number[]) {
    this.array = Int32Array.from(tokens);
    this.length = tokens.length;
  }

  copy(from: number, count: number, into: Int32Array, at: number): void {
    new ArrayTokens(this.array).copy(from, count, into, at);
  }

  blockKey(_index: number, _blockSize: number, key: BlockKey): void {
    key.lane0 = 7;
    key.lane1 = 7;
    key.exact = false;
  }
}

const WHOLE_BLOCKS = { partialPrefixHits: false };

describe('prefix hits', () => {
  it('two prefixes with the same hash do not share blocks', () => {
    const rig = new EngineRig({ config: WHOLE_BLOCKS });
    rig.submit({ prompt: new CollidingTokens(numbers(13)) });
    rig.finish();
    const other = rig.submit({ prompt: new CollidingTokens(numbers(13, 50)) });
    rig.finish();
    expect(rig.admissions.at(-1)!.hitTokens).toBe(0);
    expect(rig.heardOf(other).ends).toEqual(['length']);
  });

  it('tenants with different salts never share blocks', () => {
    const rig = new EngineRig();
    rig.submit({ prompt: numbers(13), cacheSalt: 1 });
    rig.finish();
    rig.submit({ prompt: numbers(13), cacheSalt: 2 });
    rig.finish();
    rig.submit({ prompt: numbers(13), cacheSalt: 1 });
    rig.finish();
    expect(rig.admissions.map((admission) => admission.hitTokens)).toEqual([0, 0, 12]);
  });

  it('the same block behind another text is not hit', () => {
    const rig = new EngineRig({ config: WHOLE_BLOCKS });
    rig.submit({ prompt: [...numbers(4), ...numbers(5, 20)], outputTokensMax: 1 });
    rig.finish();
    rig.submit({ prompt: [...numbers(4), ...numbers(4, 40), ...numbers(5, 20)], outputTokensMax: 1 });
    rig.finish();
    rig.submit({ prompt: [...numbers(4, 20), 1], outputTokensMax: 1 });
    rig.finish();
    expect(rig.admissions.map((admission) => admission.hitTokens)).toEqual([0, 4, 0]);
  });

  it('a full prefix hit still computes one token', () => {
    const rig = new EngineRig({ config: WHOLE_BLOCKS });
    rig.submit({ prompt: numbers(8), outputTokensMax: 1 });
    rig.finish();
    const again = rig.submit({ prompt: numbers(8), outputTokensMax: 1 });
    const plan = rig.begin()!;
    expect({ context: plan.contextTokens[0], tokens: plan.newTokens[0] }).toEqual({ context: 4, tokens: 4 });
    rig.end();
    expect(rig.heardOf(again).ends).toEqual(['length']);
  });

  it('blocks are not hit before their KV is written', () => {
    const rig = new EngineRig({ config: { ...WHOLE_BLOCKS, pendingPrefixHits: false } });
    rig.submit({ prompt: numbers(13) });
    rig.submit({ prompt: numbers(13) });
    rig.begin();
    expect(rig.admissions.map((admission) => admission.hitTokens)).toEqual([0, 0]);
    rig.end();
    rig.submit({ prompt: numbers(13) });
    rig.begin();
    expect(rig.admissions.at(-1)!.hitTokens).toBe(12);
  });

  it('a part of a block is not copied before it is written', () => {
    const rig = new EngineRig();
    rig.submit({ prompt: numbers(8), outputTokensMax: 6 });
    const second = rig.submit({ prompt: [...numbers(6), 90, 91], outputTokensMax: 6 });
    rig.begin();
    expect(rig.admissions.at(-1)!.hitTokens).toBe(4);
    rig.end();
    rig.finish();
    expect(rig.heardOf(second).tokens).toEqual(rig.memory!.output(second, 6));
  });

  it('blocks of a failed step are not hit, though their sequence was aborted meanwhile', () => {
    const rig = new EngineRig({ config: WHOLE_BLOCKS });
    const gone = rig.submit({ prompt: numbers(13) });
    rig.begin();
    rig.engine.abort(gone.request.id);
    rig.end({ status: 'transient' });
    rig.submit({ prompt: numbers(13) });
    rig.finish();
    expect(rig.admissions.at(-1)!.hitTokens).toBe(0);
  });

  it('who hit blocks of a failed step computes them again', () => {
    const rig = new EngineRig();
    rig.submit({ prompt: numbers(13) });
    const second = rig.submit({ prompt: numbers(13) });
    rig.begin();
    expect(rig.admissions.at(-1)!.hitTokens).toBe(12);
    rig.end({ status: 'transient' });
    rig.finish();
    expect(rig.heardOf(second).tokens).toEqual(rig.memory!.output(second, 4));
  });

  it('a fork reads no blocks of a leader that is being computed again', () => {
    const config = {
      sequencesMax: 2,
      tokensPerStepMax: 8,
      prefillChunkTokensMax: 5,
      blocksTotal: 9,
      order: 'priority',
    } as const;
    const policies = { victim: 'tail', capacity: 'as-needed', bypassMax: 0, admissionRetrySteps: 0 } as const;
    const rig = new EngineRig({ config: { ...config, ...policies, ...WHOLE_BLOCKS } });
    const [leader, fork] = rig.submitAll({ prompt: numbers(22), outputTokensMax: 6, sampling: { n: 2 }, priority: 2 });
    rig.step();
    const urgent = rig.submit({ prompt: numbers(11, 100), outputTokensMax: 20, priority: 1 });
    while (leader!.preemptions === 0) rig.step();
    // Its place was taken when the leader's prompt was computed.
    expect(fork!.state).toBe('waiting');
    rig.engine.kv.resetPrefixCache();
    while (leader!.state !== 'running') rig.step();
    rig.engine.abort(urgent.request.id);
    rig.begin();
    expect(rig.admissions.at(-1)!.sequence).toBe(fork);
    expect(rig.admissions.at(-1)!.hitTokens).toBeLessThanOrEqual(leader!.computedTokens);
    rig.end();
    rig.finish();
    expect(rig.heardOf(leader!).tokens).toEqual(rig.memory!.output(leader!, 6));
    expect(rig.heardOf(fork!).tokens).toEqual(rig.memory!.output(fork!, 6));
  });

  it('a prompt whose logprobs are asked for is computed in full', () => {
    const rig = new EngineRig();
    rig.submit({ prompt: numbers(13) });
    rig.finish();
    rig.submit({ prompt: numbers(13), sampling: { promptLogprobs: 1 } });
    rig.finish();
    expect(rig.admissions.at(-1)!.hitTokens).toBe(0);
  });
});
