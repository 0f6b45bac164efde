import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ArrayTokens,
  engineConfig,
  KvCache,
  NO_SINK,
  Request,
  type SeqSlot,
  Sequence,
  StepPlan,
} from '../../src/core/index.ts';

const BLOCK_SIZE = 4;
const BLOCKS = 9;

function sequenceOf(tokens: Int32Array): Sequence {
  const sequence = new Sequence(
    new Request(0, 0, { prompt: new ArrayTokens(tokens), outputTokensMax: 8 }),
    0,
    NO_SINK,
    0,
    null,
    1000,
  );
  sequence.slot = 0 as SeqSlot;
  return sequence;
}

describe('a long prefix hit', () => {
  it('ends at the first block that differs', () => {
    fc.assert(
      fc.property(
        fc.nat(BLOCKS * BLOCK_SIZE - 1),
        fc.constantFrom(1, 0x7fffffff, -1),
        fc.nat(3),
        (position, change, offset) => {
          const config = engineConfig('vllm-v1', { blockSize: BLOCK_SIZE, blocksTotal: 64, modelLenMax: 100 });
          const kv = new KvCache(config);
          const plan = new StepPlan({
            sequencesMax: 1,
            tokensPerStepMax: 100,
            draftTokensMax: 0,
            stepsMax: 1,
            tokenIds: false,
          });
          const written = Int32Array.from({ length: BLOCKS * BLOCK_SIZE + 1 }, (_, i) => 100 + i);
          const first = sequenceOf(written);
          kv.lookup(first, -1);
          kv.admit(first, written.length, plan);
          kv.publish(first, written.length, 0);
          // The other prompt lies at any place of its buffer: pairs of tokens need not be aligned.
          const other = new Int32Array(new ArrayBuffer(4 * (written.length + offset)), 4 * offset);
          other.set(written);
          kv.lookup(sequenceOf(other), 0);
          expect(kv.hitCount).toBe(BLOCKS);
          other[position]! ^= change;
          kv.lookup(sequenceOf(other), 0);
          expect(kv.hitCount).toBe(Math.floor(position / BLOCK_SIZE));
        },
      ),
      { numRuns: 300 },
    );
  });
});
