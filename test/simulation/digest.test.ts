import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Sequence, StepPlan, StepResult } from '../../src/core/index.ts';
import { type DigestMode, RunDigest } from '../../src/simulation/digest.ts';
import { COMPLETED, type FinishedFields, finishedSequence, REJECTED } from './finished-sequence.ts';

const STRIDE = 16;
const TABLES = Int32Array.from({ length: 4 * STRIDE }, (_, i) => (i * 37) % 1000);
const SHAPE = { sequencesMax: 8, tokensPerStepMax: 64, draftTokensMax: 0, stepsMax: 32, tokenIds: false };

function digestOf(fill: (digest: RunDigest) => void, mode: DigestMode = 'records', blocksTotal = 1000): string {
  const digest = new RunDigest(mode, blocksTotal);
  fill(digest);
  return digest.finish();
}

const ofSequence = (sequence: Sequence, tables = TABLES): string =>
  digestOf((digest) => digest.request(sequence, tables, STRIDE));

describe('RunDigest of requests and evictions', () => {
  it('is the same for the same run, and pinned', () => {
    const run = (digest: RunDigest): void => {
      digest.evicted(Int32Array.of(5, 6, 7), 2);
      digest.request(finishedSequence(), TABLES, STRIDE);
      digest.request(finishedSequence({ id: 2 }, REJECTED), TABLES, STRIDE);
    };
    expect(digestOf(run)).toBe(digestOf(run));
    // A change here changes every published digest: raise the version in the digest's first line with it.
    expect(digestOf(run)).toMatchInlineSnapshot(`"6ceb858a3161770f4396ffbd002c501f6b86cb4bc42b88e4d0fd4a92b4ff61ef"`);
  });

  const changes: Partial<FinishedFields>[] = [
    { id: 2 },
    { index: 1 },
    { arrivalNs: COMPLETED.arrivalNs + 1 },
    { admittedNs: COMPLETED.admittedNs + 1 },
    { firstTokenNs: COMPLETED.firstTokenNs + 1 },
    { lastTokenNs: COMPLETED.lastTokenNs + 1 },
    { finishedNs: COMPLETED.finishedNs + 1 },
    { waitedNs: COMPLETED.waitedNs + 1 },
    { promptTokens: 101 },
    { outputTokens: 12 },
    { cachedPromptTokens: 33 },
    { scheduledPromptTokens: 69 },
    { recomputedPromptTokens: 1 },
    { recomputedOutputTokens: 1 },
    { preemptions: 1 },
    { finishReason: 'stop' },
    { finishReason: 'abort' },
    { slot: 1 },
    { slot: -1 },
    { blocks: 6 },
    { blocks: 8 },
  ];
  it.each(changes)('changes with %o', (change) => {
    expect(ofSequence(finishedSequence(change))).not.toBe(ofSequence(finishedSequence()));
  });

  it('changes with a block that a sequence ended with, not with what lies behind', () => {
    const inside = TABLES.slice();
    inside[COMPLETED.blocks - 1]!++;
    const behind = TABLES.slice();
    behind[COMPLETED.blocks]!++;
    expect(ofSequence(finishedSequence(), inside)).not.toBe(ofSequence(finishedSequence()));
    expect(ofSequence(finishedSequence(), behind)).toBe(ofSequence(finishedSequence()));
  });

  it('changes with the order of finishes and of evictions, not with how the two interleave or are batched', () => {
    const a = finishedSequence({ id: 1 });
    const b = finishedSequence({ id: 2 });
    const run = (order: readonly ('a' | 'b' | number[])[]): string =>
      digestOf((digest) => {
        for (const one of order) {
          if (one === 'a' || one === 'b') digest.request(one === 'a' ? a : b, TABLES, STRIDE);
          else digest.evicted(Int32Array.from(one), one.length);
        }
      });
    const expected = run(['a', 'b', [1, 2, 3]]);
    expect(run([[1, 2], 'a', [3], 'b'])).toBe(expected);
    expect(run([[], [1], [2, 3], 'a', 'b'])).toBe(expected);
    expect(run(['b', 'a', [1, 2, 3]])).not.toBe(expected);
    expect(run(['a', 'b', [1, 3, 2]])).not.toBe(expected);
    expect(run(['a', 'b', [1, 2]])).not.toBe(expected);
  });

  it('does not depend on where the chunks of its buffers end', () => {
    const blocks = Int32Array.from({ length: 200_000 }, (_, i) => i % 1000);
    const whole = digestOf((digest) => digest.evicted(blocks, blocks.length));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70_000 }), (size) => {
        const split = digestOf((digest) => {
          for (let at = 0; at < blocks.length; at += size) {
            const part = blocks.subarray(at, at + size);
            digest.evicted(part, part.length);
          }
        });
        expect(split).toBe(whole);
      }),
      { numRuns: 20 },
    );
  });

  it('takes a sequence with more blocks than a chunk holds', () => {
    const tables = Int32Array.from({ length: 100_000 }, (_, i) => i);
    const of = (last: number): string => {
      const copy = tables.slice();
      copy[99_999] = last;
      return digestOf((digest) => digest.request(finishedSequence({ blocks: 100_000 }), copy, 100_000), 'records', 1e6);
    };
    expect(of(99_999)).toBe(of(99_999));
    expect(of(99_999)).not.toBe(of(70_000));
  });

  it('tells block ids apart in pools of any size', () => {
    for (const blocksTotal of [65_536, 65_537, 1 << 20]) {
      const of = (block: number): string =>
        digestOf((digest) => digest.evicted(Int32Array.of(block), 1), 'records', blocksTotal);
      expect(of(blocksTotal - 1)).not.toBe(of(0));
      expect(of(blocksTotal - 1)).not.toBe(of(blocksTotal - 65_536));
    }
  });
});

/** One decode run: per step the blocks that grow, as pairs (slot, block). */
interface DecodeRun {
  readonly slots: readonly number[];
  readonly growth: readonly (readonly (readonly [number, number])[])[];
}

function submit(digest: RunDigest, run: DecodeRun, fromStep: number, steps: number): void {
  const plan = new StepPlan(SHAPE);
  const result = new StepResult(SHAPE);
  plan.reset(0, 0);
  for (const slot of run.slots) {
    plan.slots[plan.rows] = slot;
    plan.newTokens[plan.rows] = 1;
    plan.samples[plan.rows++] = 1;
  }
  for (let step = 0; step < steps; step++) {
    for (const [slot, block] of run.growth[fromStep + step]!) plan.addNewBlock(slot, block, step);
  }
  result.stepsRun = steps;
  digest.step(plan, result);
}

const decodeRun: fc.Arbitrary<DecodeRun> = fc.record({
  slots: fc.uniqueArray(fc.nat(7), { minLength: 1, maxLength: 8 }),
  growth: fc.array(fc.array(fc.tuple(fc.nat(7), fc.nat(999)), { maxLength: 3 }), { minLength: 1, maxLength: 20 }),
});

describe('RunDigest of steps', () => {
  it('is the same for a run, for its single steps and for any split', () => {
    fc.assert(
      fc.property(fc.array(decodeRun, { maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 7 })), (runs, sizes) => {
        const whole = digestOf((digest) => {
          for (const run of runs) submit(digest, run, 0, run.growth.length);
        }, 'steps');
        const split = (sizeAt: (i: number) => number): string =>
          digestOf((digest) => {
            let i = 0;
            for (const run of runs) {
              for (let at = 0; at < run.growth.length; ) {
                const steps = Math.min(sizeAt(i++), run.growth.length - at);
                submit(digest, run, at, steps);
                at += steps;
              }
            }
          }, 'steps');
        expect(split(() => 1)).toBe(whole);
        expect(split((i) => sizes[i % Math.max(1, sizes.length)] ?? 2)).toBe(whole);
      }),
    );
  });

  const base: DecodeRun = { slots: [0, 3], growth: [[[0, 10]], [], [[3, 11]]] };
  const of = (run: DecodeRun): string => digestOf((digest) => submit(digest, run, 0, run.growth.length), 'steps');

  it.each<[string, DecodeRun]>([
    ['a slot', { ...base, slots: [0, 4] }],
    ['the order of rows', { ...base, slots: [3, 0] }],
    ['the number of steps', { ...base, growth: [...base.growth, []] }],
    ['the block that grows', { ...base, growth: [[[0, 12]], [], [[3, 11]]] }],
    ['the step in which it grows', { ...base, growth: [[[0, 10]], [[3, 11]], []] }],
  ])('changes with %s', (_, changed) => {
    expect(of(changed)).not.toBe(of(base));
  });

  it('changes with the tokens of a row, and covers steps only in its mode', () => {
    const fill =
      (newTokens: number) =>
      (digest: RunDigest): void => {
        const plan = new StepPlan(SHAPE);
        const result = new StepResult(SHAPE);
        plan.reset(0, 0);
        plan.rows = 1;
        plan.newTokens[0] = newTokens;
        result.stepsRun = 1;
        digest.step(plan, result);
      };
    expect(digestOf(fill(5), 'steps')).not.toBe(digestOf(fill(6), 'steps'));
    expect(digestOf(fill(5), 'records')).toBe(digestOf(fill(6), 'records'));
    expect(digestOf(fill(5), 'steps')).not.toBe(digestOf(fill(5), 'records'));
  });

  it('tells a failed submission from one that ran', () => {
    const fill =
      (failed: boolean) =>
      (digest: RunDigest): void => {
        const plan = new StepPlan(SHAPE);
        const result = new StepResult(SHAPE);
        plan.reset(0, 0);
        plan.rows = 1;
        plan.newTokens[0] = 1;
        result.stepsRun = 1;
        if (failed) result.fail('transient', 'planted');
        digest.step(plan, result);
      };
    expect(digestOf(fill(true), 'steps')).not.toBe(digestOf(fill(false), 'steps'));
  });
});
