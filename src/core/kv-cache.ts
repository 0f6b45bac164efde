import { assert } from './assert.ts';
import type { BlockObserver } from './block-observer.ts';
import { BlockPool } from './block-pool.ts';
import { BlockSlab } from './block-slab.ts';
import type { EngineConfig } from './engine-config.ts';
import { NONE } from './ids.ts';
import { KnownText } from './known-text.ts';
import { PrefixCache } from './prefix-cache.ts';
import type { PrefixEnd, Sequence } from './sequence.ts';
import type { StepPlan } from './step-plan.ts';

/**
 * The only writer of pool, block tables and prefix cache. Every change is asked for first (`canAdmit`, `canGrow`, ...) and
 * then made, so a refusal leaves no trace; there is one release path.
 */
export class KvCache {
  readonly blockSize: number;
  readonly pool: BlockPool;
  readonly cache: PrefixCache;
  /** Block tables, row by slot: row r begins at r * tableStride. */
  readonly tables: Int32Array;
  readonly tableStride: number;
  /** Blocks that lost their content since the last `clearEvicted`, in order. */
  evicted = new Int32Array(1024);
  evictedCount = 0;
  /** Hears which blocks change hands; null = nobody. */
  observer: BlockObserver | null = null;
  /** Times that blocks came back so far: while it stands still, who lacked blocks lacks them still. */
  releases = 0;

  // What the last `lookup` found.
  /** Whole blocks hit: hitBlocks[0 .. hitCount). */
  readonly hitBlocks: Int32Array;
  hitCount = 0;
  /** Block to copy for a partial hit of `partialTokens` tokens behind the whole ones, or NONE. */
  partialBlock = NONE;
  partialTokens = 0;
  hitEnd: PrefixEnd = 'not-looked-up';
  /** Hit blocks that nobody owns: they leave the list of available ones when they are taken. */
  private hitListed = 0;

  private readonly forks: boolean;
  private readonly prefixCaching: boolean;
  private readonly partialPrefixHits: boolean;
  private readonly pendingPrefixHits: boolean;
  private readonly unpublishUnplanned: boolean;
  private readonly reuseEmptyFirst: boolean;
  private readonly fencedFrees: boolean;
  private readonly hostFree: Int32Array;
  private hostFreeCount: number;
  private readonly text: KnownText;

  constructor(config: EngineConfig) {
    this.blockSize = config.blockSize;
    const slab = new BlockSlab(config.blocksTotal);
    this.pool = new BlockPool(config.blocksTotal, slab);
    this.cache = new PrefixCache(config.blocksTotal, config.blockSize, slab);
    const draftsMax =
      config.speculation === null ? 0 : config.speculation.draftTokensMax + config.speculation.lookaheadTokens;
    this.tableStride = Math.min(config.blocksTotal, Math.ceil((config.modelLenMax + draftsMax) / config.blockSize));
    this.tables = new Int32Array(config.sequencesMax * this.tableStride);
    this.hitBlocks = new Int32Array(this.tableStride);
    this.forks = config.siblings === 'fork';
    this.prefixCaching = config.prefixCaching;
    this.partialPrefixHits = config.partialPrefixHits;
    this.pendingPrefixHits = config.pendingPrefixHits;
    this.unpublishUnplanned = config.unpublishUnplanned;
    this.reuseEmptyFirst = config.reuseEmptyFirst;
    this.fencedFrees = config.fencedFrees;
    this.hostFree = new Int32Array(config.hostBlocksTotal);
    this.hostFreeCount = config.hostBlocksTotal;
    for (let i = 0; i < config.hostBlocksTotal; i++) this.hostFree[i] = config.hostBlocksTotal - 1 - i;
    this.text = new KnownText(config.blockSize);
  }

  get hostAvailable(): number {
    return this.hostFreeCount;
  }

  get hostTotal(): number {
    return this.hostFree.length;
  }

  /** Blocks without an owner whose content may still be hit. */
  get blocksCached(): number {
    return this.pool.cached;
  }

  /** Blocks that hold `tokens` tokens. */
  blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.blockSize);
  }

  clearEvicted(): void {
    this.evictedCount = 0;
  }

  /** Tokens that the last `lookup` found. */
  get hitTokens(): number {
    return this.hitCount * this.blockSize + this.partialTokens;
  }

  /**
   * Looks a waiting sequence's known text up, up to one token short of its end (a step has to compute something). Changes
   * nothing but the result fields. `stepsDone`: the last step that has ended.
   */
  lookup(sequence: Sequence, stepsDone: number): void {
    this.hitCount = 0;
    this.partialBlock = NONE;
    this.partialTokens = 0;
    this.hitListed = 0;
    if (!this.prefixCaching || sequence.request.sampling.promptLogprobs !== null) {
      this.hitEnd = 'disabled';
      return;
    }
    const leader = this.forks ? sequence.leader : null;
    if (leader !== null && leader.state === 'running' && leader.canDraft) {
      this.lookupLeader(sequence, leader);
      return;
    }
    const { cache, text } = this;
    const blocksMax = Math.floor((sequence.knownTokens - 1) / this.blockSize);
    let parent = PrefixCache.root(sequence.request.cacheSalt);
    const readyMax = this.pendingPrefixHits ? Number.POSITIVE_INFINITY : stepsDone;
    const { array } = sequence.request.prompt;
    const promptBlocks = Math.min(blocksMax, Math.floor(sequence.promptTokens / this.blockSize));
    this.hitEnd = 'whole-prompt';
    for (let i = 0; i < blocksMax; i++) {
      if (array !== null && i > 0 && i < promptBlocks) {
        i += cache.follow(parent, array, i * this.blockSize, promptBlocks - i, readyMax, this.hitBlocks, i);
        this.hitCount = i;
        this.hitListed += cache.followedListed;
        parent = cache.nodeOf(this.hitBlocks[i - 1]!);
        if (i === blocksMax) break;
      }
      text.makeKey(sequence, i);
      const node = cache.find(parent, text.key, text.tokens, text.at);
      const block = node === NONE ? NONE : cache.blockOf(node);
      if (block === NONE) {
        this.hitEnd = node === NONE ? 'no-entry' : 'evicted-parent';
        break;
      }
      if (cache.readyStep(block) > readyMax) {
        this.hitEnd = 'not-ready';
        break;
      }
      this.hitBlocks[i] = block;
      this.hitCount = i + 1;
      if (this.pool.isListed(block)) this.hitListed++;
      parent = node;
    }
    if (this.partialPrefixHits && parent >= 0) this.lookupPartial(sequence, parent, stepsDone);
  }

  /** A sibling of a leader that has got a token since its admission, so that its prompt is computed, shares its blocks and copies the one it will write into. */
  private lookupLeader(sequence: Sequence, leader: Sequence): void {
    const reusable = Math.min(sequence.knownTokens, leader.promptTokens) - 1;
    const blocks = Math.floor(reusable / this.blockSize);
    const row = leader.slot * this.tableStride;
    for (let i = 0; i < blocks; i++) this.hitBlocks[i] = this.tables[row + i]!;
    this.hitCount = blocks;
    this.partialTokens = reusable - blocks * this.blockSize;
    if (this.partialTokens > 0) this.partialBlock = this.tables[row + blocks]!;
    this.hitEnd = 'whole-prompt';
  }

  /** Part of the block behind the hits: the one with just that content, or the youngest child of the last node hit. */
  private lookupPartial(sequence: Sequence, parent: number, stepsDone: number): void {
    const cache = this.cache;
    const from = this.hitCount * this.blockSize;
    const count = Math.min(sequence.knownTokens - 1 - from, this.blockSize);
    if (count <= 0) return;
    const child = cache.lastChildOf(parent);
    if (child === NONE) return;
    const block = cache.blockOf(child);
    if (block === NONE || cache.readyStep(block) > stepsDone) return;
    const same = cache.commonTokens(child, this.text.copy(sequence, from, count), 0, count);
    if (same === 0) return;
    this.partialBlock = block;
    this.partialTokens = same;
  }

  /** Blocks that leave the list when the hits of the last `lookup` are taken and `tokens` tokens in all are reserved. */
  admissionBlocks(tokens: number): number {
    const fresh = this.blocksFor(tokens) - this.hitCount;
    const pinned = this.partialBlock !== NONE && this.pool.isListed(this.partialBlock) ? 1 : 0;
    return fresh + this.hitListed + pinned;
  }

  canAdmit(tokens: number): boolean {
    return this.admissionBlocks(tokens) <= this.pool.available;
  }

  /** Gives up the partial hit of the last `lookup`: its copy may be what does not fit. */
  dropPartial(): void {
    this.partialBlock = NONE;
    this.partialTokens = 0;
  }

  /**
   * Takes the hits of the last `lookup` of this sequence, copies the partial one, and reserves room for `tokens` tokens in
   * all. The sequence has its slot already. Returns the number of new blocks.
   */
  admit(sequence: Sequence, tokens: number, plan: StepPlan): number {
    assert(sequence.blocks === 0, 'a sequence is admitted without blocks');
    const row = sequence.slot * this.tableStride;
    const hits = this.hitCount;
    this.pool.touchMany(this.hitBlocks, hits, this.tables, row);
    if (this.observer !== null && hits > 0) this.observer.shared(sequence, this.tables, row, hits);
    const source = this.partialBlock;
    if (source !== NONE) this.pool.touch(source);
    this.setBlocks(sequence, hits);
    sequence.cacheBlocks = this.prefixCaching ? hits : 0;
    sequence.cacheNode = hits > 0 && this.prefixCaching ? this.cache.nodeOf(this.hitBlocks[hits - 1]!) : NONE;
    sequence.computedTokens = this.hitTokens;
    const fresh = this.blocksFor(tokens) - hits;
    if (fresh > 0) this.appendBlocks(sequence, fresh, plan);
    if (source !== NONE) {
      plan.addCopy(source, this.tables[row + hits]!);
      this.pool.release(source, plan.stepId, false);
    }
    return fresh;
  }

  /** Whether a running sequence can hold `tokens` tokens. */
  canGrow(sequence: Sequence, tokens: number): boolean {
    return this.blocksFor(tokens) - sequence.blocks <= this.pool.available;
  }

  grow(sequence: Sequence, tokens: number, plan: StepPlan): void {
    const missing = this.blocksFor(tokens) - sequence.blocks;
    if (missing === 1) this.appendBlock(sequence, plan, 0);
    else this.appendBlocks(sequence, missing, plan);
  }

  /** Takes `count` blocks more. */
  private appendBlocks(sequence: Sequence, count: number, plan: StepPlan): void {
    const at = sequence.slot * this.tableStride + sequence.blocks;
    this.pool.takeMany(count, this.tables, at);
    for (let i = at; i < at + count; i++) {
      const block = this.tables[i]!;
      if (this.cache.has(block)) this.evict(block);
      plan.addNewBlock(sequence.slot, block, 0);
    }
    this.setBlocks(sequence, sequence.blocks + count);
    if (this.observer !== null) this.observer.allocated(sequence, this.tables, at, count);
  }

  /** Takes one block more; `step` counts inside a run. */
  appendBlock(sequence: Sequence, plan: StepPlan, step: number): void {
    const block = this.pool.take();
    if (this.cache.has(block)) this.evict(block);
    const at = sequence.slot * this.tableStride + sequence.blocks;
    this.tables[at] = block;
    this.setBlocks(sequence, sequence.blocks + 1);
    if (this.observer !== null) this.observer.allocated(sequence, this.tables, at, 1);
    plan.addNewBlock(sequence.slot, block, step);
  }

  /** Publishes the sequence's full blocks up to `tokens` known tokens; they are ready once `readyStep` has ended. */
  publish(sequence: Sequence, tokens: number, readyStep: number): void {
    if (!this.prefixCaching) return;
    const row = sequence.slot * this.tableStride;
    const { cache, tables, text, blockSize } = this;
    let index = sequence.cacheBlocks;
    let node = index === 0 ? PrefixCache.root(sequence.request.cacheSalt) : sequence.cacheNode;
    for (; (index + 1) * blockSize <= tokens; index++) {
      text.makeKey(sequence, index);
      node = cache.publish(tables[row + index]!, node, text.key, text.tokens, text.at, readyStep);
    }
    sequence.cacheNode = node;
    sequence.cacheBlocks = index;
  }

  /** Takes back what the sequence published beyond its first `tokens` tokens (a failed step). */
  unpublish(sequence: Sequence, tokens: number): void {
    const keep = Math.min(sequence.cacheBlocks, Math.floor(tokens / this.blockSize));
    const row = sequence.slot * this.tableStride;
    for (let i = sequence.cacheBlocks - 1; i >= keep; i--) this.cache.drop(this.tables[row + i]!);
    sequence.cacheBlocks = keep;
    sequence.cacheNode = keep === 0 ? NONE : this.cache.nodeOf(this.tables[row + keep - 1]!);
  }

  /** Step `step` failed: what anybody published to be computed by it is not there, nor what `running` published behind it. */
  unpublishStep(step: number, running: readonly Sequence[]): void {
    for (let block = 0; block < this.pool.total; block++) {
      if (!this.cache.has(block) || this.cache.readyStep(block) !== step) continue;
      this.cache.drop(block);
      this.pool.contentDropped(block, this.reuseEmptyFirst);
    }
    for (const sequence of running) {
      const row = sequence.slot * this.tableStride;
      let keep = 0;
      while (keep < sequence.cacheBlocks && this.cache.has(this.tables[row + keep]!)) keep++;
      if (keep < sequence.cacheBlocks) this.unpublish(sequence, keep * this.blockSize);
    }
  }

  /** The sequence's row was taken out of a plan: nobody computes the blocks that it would have filled. */
  unplanned(sequence: Sequence): void {
    if (this.unpublishUnplanned) this.unpublish(sequence, sequence.computedTokens);
  }

  /**
   * Gives back everything the sequence holds, last block first, so that tails are evicted before heads. Idempotent.
   * `stepsDone`: the last step that has ended; blocks of a sequence in a later one are fenced by it.
   */
  release(sequence: Sequence, stepsDone: number): void {
    const fence = this.fencedFrees && sequence.lastStep > stepsDone ? sequence.lastStep : NONE;
    const row = sequence.slot * this.tableStride;
    if (sequence.blocks > 0) this.releases++;
    if (this.observer !== null && sequence.blocks > 0) {
      this.observer.freed(sequence, this.tables, row, sequence.blocks);
    }
    this.pool.releaseMany(this.tables, row, sequence.blocks, fence, this.reuseEmptyFirst);
    this.setBlocks(sequence, 0);
    sequence.cacheBlocks = 0;
    sequence.cacheNode = NONE;
    const host = sequence.hostBlocks;
    if (host !== null) {
      for (let i = host.length - 1; i >= 0; i--) this.hostFree[this.hostFreeCount++] = host[i]!;
      sequence.hostBlocks = null;
    }
  }

  /** A step has ended: what it fenced becomes available. */
  stepEnded(step: number): void {
    const { fenced } = this.pool;
    this.pool.liftFences(step, this.reuseEmptyFirst);
    if (this.pool.fenced < fenced) this.releases++;
  }

  canSwapOut(sequence: Sequence): boolean {
    return this.blocksFor(sequence.computedTokens) <= this.hostFreeCount;
  }

  /** Copies the blocks in use to host memory and gives them back. Not while a step with the sequence is in flight. */
  swapOut(sequence: Sequence, plan: StepPlan, stepsDone: number): void {
    assert(sequence.inFlight === 0, 'a sequence is swapped out only when no step writes to it');
    const count = this.blocksFor(sequence.computedTokens);
    const host = new Int32Array(count);
    const row = sequence.slot * this.tableStride;
    for (let i = 0; i < count; i++) {
      host[i] = this.hostFree[--this.hostFreeCount]!;
      plan.addSwapOut(this.tables[row + i]!, host[i]!);
    }
    if (this.observer !== null) this.observer.swappedOut(sequence, this.tables, row, count);
    this.release(sequence, stepsDone);
    sequence.hostBlocks = host;
  }

  canSwapIn(tokens: number): boolean {
    return this.blocksFor(tokens) <= this.pool.available;
  }

  /** Brings a swapped sequence back into new blocks, with room for `tokens` tokens in all. */
  swapIn(sequence: Sequence, tokens: number, plan: StepPlan): void {
    const host = sequence.hostBlocks;
    assert(host !== null, 'only a swapped sequence is swapped in');
    const count = Math.max(this.blocksFor(tokens), host.length);
    const row = sequence.slot * this.tableStride;
    this.appendBlocks(sequence, count, plan);
    for (let i = 0; i < host.length; i++) plan.addSwapIn(host[i]!, this.tables[row + i]!);
    if (this.observer !== null) this.observer.swappedIn(sequence, this.tables, row, host.length);
    for (let i = host.length - 1; i >= 0; i--) this.hostFree[this.hostFreeCount++] = host[i]!;
    sequence.hostBlocks = null;
  }

  /** Forgets the content of every block that nobody owns (and of owned ones from now on): the admin's reset. */
  resetPrefixCache(): number {
    let dropped = 0;
    for (let block = 0; block < this.pool.total; block++) {
      if (!this.cache.has(block) || this.pool.refs(block) > 0) continue;
      this.cache.drop(block);
      this.pool.contentDropped(block, this.reuseEmptyFirst);
      dropped++;
    }
    return dropped;
  }

  private evict(block: number): void {
    if (this.evictedCount === this.evicted.length) {
      const larger = new Int32Array(2 * this.evicted.length);
      larger.set(this.evicted);
      this.evicted = larger;
    }
    this.evicted[this.evictedCount++] = block;
    this.cache.drop(block);
    if (this.observer !== null) this.observer.evicted(block);
  }

  private setBlocks(sequence: Sequence, blocks: number): void {
    sequence.blocks = blocks;
    sequence.capacityTokens = blocks * this.blockSize;
  }
}
