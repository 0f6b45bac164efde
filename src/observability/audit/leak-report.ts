import type { Engine } from '../../core/index.ts';
import { auditBlocks, type HolderMemory, type HolderName, type LastHolder } from './block-audit.ts';

/** Blocks that one sequence has not given back. */
export interface LeakOfSequence extends HolderName {
  readonly blocks: number;
  /** first .. last of neighbouring blocks; the first few. */
  readonly ranges: readonly (readonly [first: number, last: number])[];
  /** When it took the first and the last of them. */
  readonly sinceNs: number;
  readonly untilNs: number;
  /** What it did last with the block that it took last. */
  readonly lastAction: string;
  /** Whether its request is still here; a leak of a request that goes on may be one reference too many. */
  readonly live: boolean;
  /** Where the last of them was taken, as far as that is recorded. */
  readonly stack: string | null;
}

export interface LeakReport {
  readonly timeNs: number;
  /** Blocks with more references than live tables have entries for them, or lost to the list. */
  readonly blocks: number;
  /** Most blocks first. */
  readonly byRequest: readonly LeakOfSequence[];
  /** Leaked blocks of which nobody knows who took them: the allocation log is off, or does not reach back far enough. */
  readonly blocksOfNobody: number;
}

const RANGES_MAX = 20;

/** Who has not given back what. Needs the allocation log for names; O(blocks). */
export function leakReport(engine: Engine, memory: HolderMemory | null): LeakReport {
  const { findings, timeNs } = auditBlocks(engine, memory, Number.POSITIVE_INFINITY);
  const groups = new Map<
    string,
    { holder: LastHolder; ranges: [number, number][]; since: number; until: LastHolder }
  >();
  let blocks = 0;
  let blocksOfNobody = 0;
  for (const finding of findings) {
    if (finding.kind === 'mismatch' && finding.references <= finding.owners) continue;
    const count = finding.last - finding.first + 1;
    blocks += count;
    const holder = finding.lastHolder;
    if (holder === null) {
      blocksOfNobody += count;
      continue;
    }
    const key = `${holder.request}.${holder.index}`;
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, { holder, ranges: [[finding.first, finding.last]], since: holder.timeNs, until: holder });
      continue;
    }
    group.ranges.push([finding.first, finding.last]);
    if (holder.timeNs < group.since) group.since = holder.timeNs;
    if (holder.timeNs > group.until.timeNs) group.until = holder;
  }
  const byRequest = [...groups.values()].map(({ holder, ranges, since, until }) => ({
    request: holder.request,
    index: holder.index,
    blocks: ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0),
    ranges: ranges.slice(0, RANGES_MAX),
    sinceNs: since,
    untilNs: until.timeNs,
    lastAction: until.action,
    live: engine.requests.has(holder.request),
    stack: until.stack,
  }));
  byRequest.sort((a, b) => b.blocks - a.blocks || a.request - b.request);
  return { timeNs, blocks, byRequest, blocksOfNobody };
}
