import type { SequenceName, StepRecord, TimelineRecord } from '../timeline/index.ts';
import type { StoryHolders } from './request-story.ts';

interface Holder extends SequenceName {
  /** Tokens that its blocks held when it was last looked at, and what every decoding sequence had got by then. */
  tokens: number;
  mark: number;
  decoding: boolean;
  readonly sinceNs: number;
}

const TOP = 5;

/** Follows records and knows at any time who is in the batch and how many blocks each has. A step costs the same whatever its batch. */
export class BlockHolders {
  private blocksTotal = 0;
  private blockSize = 1;
  private blocksUsed: number | null = null;
  /** Tokens that a sequence which decodes all the time has got so far. */
  private decoded = 0;
  private readonly holders = new Map<string, Holder>();

  take(record: TimelineRecord): void {
    switch (record.kind) {
      case 'begin':
        this.blocksTotal = record.blocksTotal;
        this.blockSize = record.blockSize;
        break;
      case 'live':
        if (record.state === 'running') {
          this.add(record, record.computedTokens, record.admittedNs, !record.prefilling);
        }
        break;
      case 'admitted':
        this.add(record, record.hitTokens, record.ns, false);
        break;
      case 'preempted':
      case 'finished':
        this.holders.delete(keyOf(record));
        break;
      case 'step':
        this.step(record);
        break;
      case 'received':
      case 'rejected':
      case 'end':
        break;
    }
  }

  /** As things stand at `ns`; times are relative to `originNs`. */
  now(ns: number, originNs: number, nameOf: (sequence: SequenceName) => string): StoryHolders {
    const top = [...this.holders.values()]
      .map((holder) => {
        const tokens = holder.tokens + (holder.decoding ? this.decoded - holder.mark : 0);
        return { holder, tokens: Math.round(tokens), blocks: Math.ceil(tokens / this.blockSize) };
      })
      .sort((a, b) => b.blocks - a.blocks)
      .slice(0, TOP);
    return {
      atMs: (ns - originNs) / 1e6,
      blocksTotal: this.blocksTotal,
      blocksUsed: this.blocksUsed,
      running: this.holders.size,
      top: top.map(({ holder, tokens, blocks }) => ({
        request: nameOf(holder),
        blocks,
        tokens,
        runningMs: Math.max(0, ns - holder.sinceNs) / 1e6,
      })),
    };
  }

  private add({ id, index }: SequenceName, tokens: number, sinceNs: number, decoding: boolean): void {
    this.holders.set(keyOf({ id, index }), { id, index, tokens, mark: this.decoded, decoding, sinceNs });
  }

  private step(step: StepRecord): void {
    if (step.blocksUsed >= 0) this.blocksUsed = step.blocksUsed;
    if (step.status !== 'ok') return;
    if (step.decodeRows > 0) this.decoded += (step.stepsRun * step.decodeTokens) / step.decodeRows;
    for (const row of step.rows) {
      const holder = row.prefilling ? this.holders.get(keyOf(row)) : undefined;
      if (holder === undefined) continue;
      holder.tokens = row.context + row.tokens;
      holder.decoding = row.samples;
      holder.mark = this.decoded;
    }
  }
}

export function keyOf({ id, index }: SequenceName): string {
  return `${id}.${index}`;
}
