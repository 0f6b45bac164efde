import type { BlockObserver, Sequence } from '../../core/index.ts';
import type { HolderMemory, HolderName, LastHolder } from './block-audit.ts';

/** What can happen to a block. take: allocate, share, swap-in; give back: free; the others say where its content went. */
export type BlockAction = 'allocate' | 'share' | 'free' | 'swap-out' | 'swap-in' | 'evict';

const ACTIONS: readonly BlockAction[] = ['allocate', 'share', 'free', 'swap-out', 'swap-in', 'evict'];
const [ALLOCATE, SHARE, FREE, SWAP_OUT, SWAP_IN, EVICT] = [0, 1, 2, 3, 4, 5] as const;
const ACTION_BITS = 3;

export interface BlockEvent extends HolderName {
  readonly action: BlockAction;
  readonly timeNs: number;
  /** Where in the code it happened, as far as that is recorded. */
  readonly stack: string | null;
}

export interface BlockLedgerOptions {
  /** Events kept per block, at least 1: 24 bytes each. */
  readonly eventsPerBlock: number;
  /** Record the call stack of every event; makes each of them some 40 us slower. */
  readonly stacks: boolean;
}

const STACKS_MAX = 1000;
const STACK_FRAMES = 12;

/**
 * The allocation log: for each block a ring of what happened to it last, and who it was. Keyed by block, so that a request
 * that takes blocks often and gives some back hides nothing; bounded, in typed arrays.
 */
export class BlockLedger implements BlockObserver, HolderMemory {
  private readonly clock: { nowNs(): number };
  private readonly capacity: number;
  private readonly stacks: boolean;
  /** Per block: events so far. */
  private readonly counts: Uint32Array;
  /** Per block a ring of `capacity` events: time, request, index and action packed, number of the stack. */
  private readonly times: Float64Array;
  private readonly requests: Float64Array;
  private readonly packed: Int32Array;
  private readonly stackNumbers: Int32Array;
  private readonly stackTexts: string[] = [''];
  private readonly stackByText = new Map<string, number>();

  constructor(blocksTotal: number, clock: { nowNs(): number }, options: BlockLedgerOptions) {
    this.clock = clock;
    this.capacity = options.eventsPerBlock;
    this.stacks = options.stacks;
    const entries = blocksTotal * this.capacity;
    this.counts = new Uint32Array(blocksTotal);
    this.times = new Float64Array(entries);
    this.requests = new Float64Array(entries);
    this.packed = new Int32Array(entries);
    this.stackNumbers = new Int32Array(options.stacks ? entries : 0);
  }

  allocated(sequence: Sequence, blocks: Int32Array, at: number, count: number): void {
    this.note(ALLOCATE, sequence, blocks, at, count);
  }

  shared(sequence: Sequence, blocks: Int32Array, at: number, count: number): void {
    this.note(SHARE, sequence, blocks, at, count);
  }

  freed(sequence: Sequence, blocks: Int32Array, at: number, count: number): void {
    this.note(FREE, sequence, blocks, at, count);
  }

  swappedOut(sequence: Sequence, blocks: Int32Array, at: number, count: number): void {
    this.note(SWAP_OUT, sequence, blocks, at, count);
  }

  swappedIn(sequence: Sequence, blocks: Int32Array, at: number, count: number): void {
    this.note(SWAP_IN, sequence, blocks, at, count);
  }

  /** The one who evicts is told of right behind, as `allocated`: what is noted is who had it before. */
  evicted(block: number): void {
    // Content is cached by one who had the block.
    if (this.counts[block] === 0) return;
    const before = this.slot(block, this.counts[block]! - 1);
    this.put(block, EVICT, this.requests[before]!, this.packed[before]! >> ACTION_BITS, 0);
  }

  /** What happened to a block, oldest first, as far as the ring reaches. */
  history(block: number): BlockEvent[] {
    const count = this.counts[block]!;
    const events: BlockEvent[] = [];
    for (let i = Math.max(0, count - this.capacity); i < count; i++) {
      const at = this.slot(block, i);
      events.push({
        request: this.requests[at]!,
        index: this.packed[at]! >> ACTION_BITS,
        action: ACTIONS[this.packed[at]! & ((1 << ACTION_BITS) - 1)]!,
        timeNs: this.times[at]!,
        stack: this.stacks && this.stackNumbers[at]! > 0 ? this.stackTexts[this.stackNumbers[at]!]! : null,
      });
    }
    return events;
  }

  /**
   * Who took the block and has not given it back, as far as the ring reaches: the latest such; when all gave it back, the
   * one of the last event.
   */
  lastHolder(block: number): LastHolder | null {
    const events = this.history(block);
    let freed: BlockEvent[] = [];
    for (let i = events.length - 1; i >= 0; i--) {
      const event = events[i]!;
      if (event.action === 'free') {
        freed.push(event);
        continue;
      }
      if (event.action !== 'allocate' && event.action !== 'share') continue;
      const back = freed.findIndex((other) => isSame(other, event));
      if (back < 0) return { ...event, freed: false };
      freed = freed.filter((_, at) => at !== back);
    }
    const last = events[events.length - 1];
    return last === undefined ? null : { ...last, freed: true };
  }

  private note(action: number, sequence: Sequence, blocks: Int32Array, at: number, count: number): void {
    const stack = this.stacks ? this.stackNumber() : 0;
    const { id } = sequence.request;
    for (let i = at; i < at + count; i++) this.put(blocks[i]!, action, id, sequence.index, stack);
  }

  private put(block: number, action: number, request: number, index: number, stack: number): void {
    const at = this.slot(block, this.counts[block]!++);
    this.times[at] = this.clock.nowNs();
    this.requests[at] = request;
    this.packed[at] = (index << ACTION_BITS) | action;
    if (this.stacks) this.stackNumbers[at] = stack;
  }

  private slot(block: number, event: number): number {
    return block * this.capacity + (event % this.capacity);
  }

  /** Stacks are few and repeat: each text is kept once, and no more of them than STACKS_MAX. */
  private stackNumber(): number {
    const holder: { stack?: string } = {};
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = STACK_FRAMES;
    Error.captureStackTrace(holder, this.note);
    Error.stackTraceLimit = limit;
    const text = (holder.stack ?? '').split('\n').slice(1).join('\n');
    const known = this.stackByText.get(text);
    if (known !== undefined) return known;
    if (this.stackTexts.length > STACKS_MAX) return 0;
    this.stackByText.set(text, this.stackTexts.length);
    return this.stackTexts.push(text) - 1;
  }
}

function isSame(a: HolderName, b: HolderName): boolean {
  return a.request === b.request && a.index === b.index;
}
