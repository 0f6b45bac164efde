import { BlockSlab } from '../src/core/block-slab.ts';
import {
  ArrayTokens,
  BlockPool,
  emptyBlockKey,
  engineConfig,
  KvCache,
  NO_SINK,
  NONE,
  PrefixCache,
  Request,
  type SeqSlot,
  Sequence,
  StepPlan,
} from '../src/core/index.ts';
import type { Case, Round } from './measure.ts';
import { randomTokens } from './step-rig.ts';

const BLOCK_SIZE = 16;
/** Blocks of an H100 with Llama-3.1-8B in bf16, about. */
const BLOCKS_TOTAL = 30_208;
const HIT_BLOCKS = 512;
const HIT_TOKENS = HIT_BLOCKS * BLOCK_SIZE;
/** Allowed p99 of an allocation with a hit of 512 blocks, us. */
const P99_MAX_US = 20;
/** Blocks handled in one sample of the small operations. */
const BLOCKS = 1000;

export const BLOCK_CASES: readonly Case[] = [
  admission(16, P99_MAX_US),
  admission(128, P99_MAX_US),
  { name: 'block keys of a new prompt, 512 blocks', unit: 'us', samples: 2000, p99Max: null, begin: beginKeys },
  perBlock('BlockPool.take and release', beginPoolOneByOne),
  perBlock('BlockPool.takeMany and releaseMany', beginPoolMany),
  perBlock('PrefixCache.publish and drop, exact keys', () => beginChain(true)),
  perBlock('PrefixCache.publish and drop, hashed keys', () => beginChain(false)),
];

function perBlock(name: string, begin: () => Round): Case {
  return { name, unit: 'ns/block', samples: 2000, p99Max: null, begin };
}

/**
 * Look-up and admission of a prompt of token ids: 512 blocks of it are hit, token by token, and `newBlocks` follow;
 * every block of the pool has content, so each new one evicts. The keys of the prompt are made before.
 */
function admission(newBlocks: number, p99Max: number): Case {
  return {
    name: `admission, 512 blocks hit, ${newBlocks} new, each evicts one`,
    unit: 'us',
    samples: 2000,
    p99Max,
    begin: () => new AdmissionRound(newBlocks),
  };
}

/** A prompt that begins as all others do, and what follows there. */
interface Prepared {
  readonly sequence: Sequence;
  readonly prompt: Int32Array;
  readonly ownTokens: Int32Array;
}

class AdmissionRound implements Round {
  /** Prompts that exist at the same time; what follows their common beginning is written anew for each use. */
  private static readonly PROMPTS = 32;
  private readonly newBlocks: number;
  private readonly kv: KvCache;
  private readonly plan: StepPlan;
  /** Used in turns: more of them than the pool holds, so that the blocks of each are evicted before its next turn. */
  private readonly prepared: readonly Prepared[];
  private turn = 0;

  constructor(newBlocks: number) {
    this.newBlocks = newBlocks;
    const config = engineConfig('twinfer', { blocksTotal: BLOCKS_TOTAL, sequencesMax: 1 });
    this.kv = new KvCache(config);
    this.plan = new StepPlan({
      sequencesMax: 1,
      tokensPerStepMax: config.tokensPerStepMax,
      draftTokensMax: 0,
      stepsMax: 1,
      tokenIds: true,
    });
    this.prepared = prepare(newBlocks, AdmissionRound.PROMPTS, Math.ceil(BLOCKS_TOTAL / newBlocks) + 64);
    while (this.kv.blocksCached < BLOCKS_TOTAL) this.serve(this.nextSequence());
  }

  sample(): number {
    const { kv, plan, newBlocks } = this;
    const sequence = this.nextSequence();
    plan.reset(plan.stepId + 1, 0);
    kv.clearEvicted();
    const from = performance.now();
    kv.lookup(sequence, plan.stepId - 1);
    if (!kv.canAdmit(sequence.knownTokens)) throw new Error('the pool is too small');
    kv.admit(sequence, sequence.knownTokens, plan);
    const admitted = performance.now();
    if (kv.hitCount !== HIT_BLOCKS || kv.evictedCount !== newBlocks) {
      throw new Error(`expected ${HIT_BLOCKS} hits and ${newBlocks} evictions, got ${kv.hitCount}, ${kv.evictedCount}`);
    }
    // Its new blocks get content: they are evicted in their turn.
    kv.publish(sequence, sequence.knownTokens, plan.stepId);
    kv.release(sequence, plan.stepId);
    return admitted - from;
  }

  end(): void {
    if (this.kv.blocksCached !== BLOCKS_TOTAL) throw new Error('the pool is not full of cached blocks');
  }

  /** Admits, publishes and releases without timing. */
  private serve(sequence: Sequence): void {
    const { kv, plan } = this;
    plan.reset(plan.stepId + 1, 0);
    kv.lookup(sequence, plan.stepId - 1);
    kv.admit(sequence, sequence.knownTokens, plan);
    kv.publish(sequence, sequence.knownTokens, plan.stepId);
    kv.release(sequence, plan.stepId);
  }

  /** Allocates nothing, so that no garbage collection falls into the samples. */
  private nextSequence(): Sequence {
    const { sequence, prompt, ownTokens } = this.prepared[this.turn++ % this.prepared.length]!;
    prompt.set(ownTokens, HIT_TOKENS);
    return sequence;
  }
}

function prepare(newBlocks: number, prompts: number, count: number): Prepared[] {
  const shared = randomTokens(1, HIT_TOKENS);
  const key = emptyBlockKey();
  const arrays = Array.from({ length: prompts }, () => {
    const prompt = new Int32Array(HIT_TOKENS + newBlocks * BLOCK_SIZE);
    prompt.set(shared);
    return prompt;
  });
  return Array.from({ length: count }, (_, id) => {
    const prompt = arrays[id % prompts]!;
    const ownTokens = randomTokens(1000 + id, newBlocks * BLOCK_SIZE);
    prompt.set(ownTokens, HIT_TOKENS);
    const source = new ArrayTokens(prompt);
    source.blockKey(0, BLOCK_SIZE, key);
    const sequence = new Sequence(
      new Request(id, 0, { prompt: source, outputTokensMax: 64 }),
      0,
      NO_SINK,
      id,
      null,
      131_072,
    );
    sequence.slot = 0 as SeqSlot;
    return { sequence, prompt, ownTokens };
  });
}

function beginKeys(): Round {
  const prompt = randomTokens(2, HIT_TOKENS);
  const key = emptyBlockKey();
  return {
    sample() {
      const source = new ArrayTokens(prompt);
      const from = performance.now();
      // The first key asked for makes them all.
      source.blockKey(0, BLOCK_SIZE, key);
      return performance.now() - from;
    },
    end() {},
  };
}

function beginPoolOneByOne(): Round {
  const pool = new BlockPool(BLOCKS_TOTAL);
  const taken = new Int32Array(BLOCKS);
  return {
    sample() {
      const from = performance.now();
      for (let i = 0; i < BLOCKS; i++) taken[i] = pool.take();
      for (let i = BLOCKS - 1; i >= 0; i--) pool.release(taken[i]!, NONE, false);
      return (performance.now() - from) / BLOCKS;
    },
    end: () => expectWhole(pool),
  };
}

function beginPoolMany(): Round {
  const pool = new BlockPool(BLOCKS_TOTAL);
  const taken = new Int32Array(BLOCKS);
  return {
    sample() {
      const from = performance.now();
      pool.takeMany(BLOCKS, taken, 0);
      pool.releaseMany(taken, 0, BLOCKS, NONE, false);
      return (performance.now() - from) / BLOCKS;
    },
    end: () => expectWhole(pool),
  };
}

function expectWhole(pool: BlockPool): void {
  if (pool.available !== BLOCKS_TOTAL) throw new Error('blocks are missing from the pool');
}

/** One chain of blocks, published head to tail and dropped tail to head; hashed keys also store the tokens. */
function beginChain(exact: boolean): Round {
  const slab = new BlockSlab(BLOCKS_TOTAL);
  const cache = new PrefixCache(BLOCKS_TOTAL, BLOCK_SIZE, slab);
  const tokens = randomTokens(3, BLOCKS * BLOCK_SIZE);
  const source = new ArrayTokens(tokens);
  const key = emptyBlockKey();
  return {
    sample() {
      const from = performance.now();
      let parent = PrefixCache.root(0);
      for (let i = 0; i < BLOCKS; i++) {
        if (exact) {
          key.lane0 = 1;
          key.lane1 = i * BLOCK_SIZE;
          key.exact = true;
        } else {
          source.blockKey(i, BLOCK_SIZE, key);
        }
        parent = cache.publish(i, parent, key, tokens, i * BLOCK_SIZE, 0);
      }
      for (let i = BLOCKS - 1; i >= 0; i--) cache.drop(i);
      return (performance.now() - from) / BLOCKS;
    },
    end() {
      if (cache.nodesLive !== 0) throw new Error('nodes are left over');
    },
  };
}
