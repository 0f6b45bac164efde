import type { EngineConfig } from './engine-config.ts';
import type { WaitReason } from './events.ts';
import { NONE } from './ids.ts';
import type { KvCache } from './kv-cache.ts';
import type { OvercommitRatio } from './overcommit.ts';
import { reservedTokens } from './policies.ts';
import type { Sequence } from './sequence.ts';

/** The capacity policy at work: whether a waiting sequence may be admitted beside what the running ones may still need. */
export class CapacityGate {
  private readonly config: EngineConfig;
  private readonly kv: KvCache;
  private readonly overcommit: OvercommitRatio;
  private readonly running: readonly Sequence[];
  private readonly watermarkBlocks: number;
  private readonly draftSlots: number;
  /** Blocks promised to running sequences beyond those that they hold; NONE until a plan asks. */
  private reservedBlocks = NONE;

  constructor(config: EngineConfig, kv: KvCache, overcommit: OvercommitRatio, running: readonly Sequence[]) {
    this.config = config;
    this.kv = kv;
    this.overcommit = overcommit;
    this.running = running;
    const speculation = config.speculation;
    this.draftSlots = speculation === null ? 0 : speculation.draftTokensMax + speculation.lookaheadTokens;
    this.watermarkBlocks = Math.floor(config.watermarkRatio * config.blocksTotal);
  }

  /** The running list or its blocks have changed. */
  reset(): void {
    this.reservedBlocks = NONE;
  }

  /** Available blocks that nobody has been promised. */
  freeBlocks(): number {
    return this.kv.pool.available - this.reserved();
  }

  /**
   * Whether blocks, the watermark or what others may still need forbid to admit the sequence that was looked up last, with
   * room for `tokens` tokens. Leaves in `sequence.blocksWanted` how many free blocks it asks for.
   */
  lacksRoom(sequence: Sequence, tokens: number): WaitReason | null {
    const policy = this.config.capacity;
    const now = this.kv.admissionBlocks(tokens);
    sequence.blocksWanted = now;
    if (now > this.kv.pool.available) return 'blocks';
    if (policy === 'as-needed' || (this.running.length === 0 && this.kv.pool.fenced === 0)) return null;
    const wanted = this.kv.admissionBlocks(Math.max(tokens, this.reservedTokens(sequence)));
    const free = this.freeBlocks();
    sequence.blocksWanted = wanted;
    if (wanted > free) return policy === 'overcommit' ? 'overcommit' : 'blocks';
    if (policy === 'guaranteed-no-evict' || wanted <= free - this.watermarkBlocks) return null;
    sequence.blocksWanted = wanted + this.watermarkBlocks;
    return 'watermark';
  }

  /** Counts what a sequence just admitted may still need. */
  admitted(sequence: Sequence): void {
    if (this.reservedBlocks !== NONE) this.reservedBlocks += this.promised(sequence);
  }

  private reserved(): number {
    if (this.reservedBlocks === NONE) {
      let blocks = 0;
      for (const sequence of this.running) blocks += this.promised(sequence);
      this.reservedBlocks = blocks;
    }
    return this.reservedBlocks;
  }

  private promised(sequence: Sequence): number {
    const tokens = this.reservedTokens(sequence);
    return tokens <= sequence.capacityTokens ? 0 : this.kv.blocksFor(tokens) - sequence.blocks;
  }

  private reservedTokens(sequence: Sequence): number {
    return reservedTokens(this.config.capacity, sequence, this.overcommit, this.draftSlots);
  }
}
