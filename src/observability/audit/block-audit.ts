import type { Engine, Sequence } from '../../core/index.ts';

/** A sequence as audits name it: `request` is the engine's number of its request, `index` counts among the n of it. */
export interface HolderName {
  readonly request: number;
  readonly index: number;
}

/** Who had a block last, as far as it was noted. */
export interface LastHolder extends HolderName {
  /** How it came to it, and when. */
  readonly action: string;
  readonly timeNs: number;
  /** It gave the block back, as all did that are known. */
  readonly freed: boolean;
  /** Where in the code, as far as that is recorded. */
  readonly stack: string | null;
}

/** Where audits learn who had a block last; see `BlockLedger`. */
export interface HolderMemory {
  lastHolder(block: number): LastHolder | null;
}

/**
 * - orphaned: it has references and stands in no live sequence's table, or it has none and is neither available nor
 *   held back by a step in flight: nobody will ever return it;
 * - mismatch: its references are not the number of table entries that name it, or it is available while it has some.
 */
export type FindingKind = 'orphaned' | 'mismatch';

/** Neighbouring blocks of which the same is to be said: first .. last. */
export interface BlockFinding {
  readonly kind: FindingKind;
  readonly first: number;
  readonly last: number;
  readonly references: number;
  /** Entries of live tables. */
  readonly owners: number;
  readonly listed: boolean;
  readonly holders: readonly HolderName[];
  readonly lastHolder: LastHolder | null;
}

/** What an audit saw. inUse + cached + free + fenced = blocksTotal, unless blocks are lost to the list. */
export interface AuditReport {
  readonly timeNs: number;
  readonly blocksTotal: number;
  readonly inUse: number;
  /** Available with content that may be hit. */
  readonly cached: number;
  readonly free: number;
  /** Without an owner, held back by a step that may still write to them. */
  readonly fenced: number;
  /** Blocks with that finding. */
  readonly orphaned: number;
  readonly mismatched: number;
  /** Blocks of host memory that are neither free nor held by a swapped sequence (below 0: held twice). */
  readonly hostBlocksLost: number;
  /** Invariants that do not hold, in the words of INVARIANTS.md; empty = clean. */
  readonly violated: readonly string[];
  /** The first of them, in order of blocks. */
  readonly findings: readonly BlockFinding[];
  readonly findingsLeftOut: number;
}

const FINDINGS_MAX = 100;
const HOLDERS_MAX = 8;

/**
 * Compares the reference count of every block with the tables of live sequences: O(blocks). Changes nothing and throws
 * nothing, where `checkEngine` stops at the first broken law: it may be asked at any moment between two calls of the engine,
 * with steps in flight. The prefix cache counts no reference: content without an owner is "cached", not leaked.
 */
export function auditBlocks(
  engine: Engine,
  memory: HolderMemory | null = null,
  findingsMax: number = FINDINGS_MAX,
): AuditReport {
  const { pool, cache } = engine.kv;
  const owners = new Int32Array(pool.total);
  const live = holdersOf(engine, owners);
  const counts = { inUse: 0, cached: 0, free: 0, fenced: 0, orphaned: 0, mismatched: 0 };
  const findings = new Findings(engine, live, memory, findingsMax);
  const nothingInFlight = engine.inFlight.length === 0;
  const violated = new Set<string>();
  for (let block = 0; block < pool.total; block++) {
    const references = pool.refs(block);
    const listed = pool.isListed(block);
    const held = owners[block]!;
    let kind: FindingKind | null = null;
    if (references > 0) {
      counts.inUse++;
      if (held === 0) kind = 'orphaned';
      else if (held !== references || listed) kind = 'mismatch';
    } else if (held > 0) {
      kind = 'mismatch';
    } else if (listed) {
      if (cache.has(block)) counts.cached++;
      else counts.free++;
    } else if (pool.isFenced(block) && !nothingInFlight) {
      counts.fenced++;
    } else {
      kind = 'orphaned';
    }
    if (kind === null) continue;
    if (held !== references) violated.add('references = owners');
    else violated.add(references > 0 ? 'a block in use is not available' : 'available + in use + fenced = total');
    counts[kind === 'orphaned' ? 'orphaned' : 'mismatched']++;
    findings.add(kind, block, references, held, listed);
  }
  const hostBlocksLost = engine.kv.hostTotal - engine.kv.hostAvailable - hostBlocksHeld(engine);
  if (hostBlocksLost !== 0) violated.add('host blocks are conserved');
  return {
    timeNs: engine.clock.nowNs(),
    blocksTotal: pool.total,
    ...counts,
    hostBlocksLost,
    violated: [...violated],
    findings: findings.all,
    findingsLeftOut: findings.leftOut,
  };
}

/** Nothing to complain of. */
export function isClean(report: AuditReport): boolean {
  return report.violated.length === 0;
}

/** Live sequences that hold blocks; counts their table entries into owners[block]. */
function holdersOf(engine: Engine, owners: Int32Array): Sequence[] {
  const { tables, tableStride, pool } = engine.kv;
  const holders: Sequence[] = [];
  for (const sequence of engine.scheduler.running) {
    if (sequence.blocks === 0) continue;
    holders.push(sequence);
    const row = sequence.slot * tableStride;
    for (let i = 0; i < sequence.blocks; i++) {
      const block = tables[row + i]!;
      if (block >= 0 && block < pool.total) owners[block]!++;
    }
  }
  return holders;
}

function hostBlocksHeld(engine: Engine): number {
  let held = 0;
  for (const leader of engine.requests.values()) {
    held += leader.hostBlocks?.length ?? 0;
    for (const sibling of leader.siblings ?? []) held += sibling.hostBlocks?.length ?? 0;
  }
  return held;
}

/** Collects findings, neighbours of one kind as one. */
class Findings {
  readonly all: BlockFinding[] = [];
  leftOut = 0;
  private readonly engine: Engine;
  private readonly live: readonly Sequence[];
  private readonly memory: HolderMemory | null;
  private readonly max: number;

  constructor(engine: Engine, live: readonly Sequence[], memory: HolderMemory | null, max: number) {
    this.max = max;
    this.engine = engine;
    this.live = live;
    this.memory = memory;
  }

  add(kind: FindingKind, block: number, references: number, owners: number, listed: boolean): void {
    const lastHolder = this.memory?.lastHolder(block) ?? null;
    const before = this.all[this.all.length - 1];
    const extends_ =
      before !== undefined &&
      before.kind === kind &&
      before.last === block - 1 &&
      before.references === references &&
      before.owners === owners &&
      before.listed === listed &&
      owners === 0 &&
      sameHolder(before.lastHolder, lastHolder);
    if (extends_) {
      this.all[this.all.length - 1] = { ...before, last: block };
      return;
    }
    if (this.all.length === this.max) {
      this.leftOut++;
      return;
    }
    const holders = owners === 0 ? [] : this.holders(block);
    this.all.push({ kind, first: block, last: block, references, owners, listed, holders, lastHolder });
  }

  private holders(block: number): HolderName[] {
    const { tables, tableStride } = this.engine.kv;
    const found: HolderName[] = [];
    for (const sequence of this.live) {
      const row = sequence.slot * tableStride;
      if (tables.subarray(row, row + sequence.blocks).includes(block)) {
        found.push({ request: sequence.request.id, index: sequence.index });
        if (found.length === HOLDERS_MAX) break;
      }
    }
    return found;
  }
}

function sameHolder(a: LastHolder | null, b: LastHolder | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.request === b.request &&
    a.index === b.index &&
    a.action === b.action &&
    a.timeNs === b.timeNs &&
    a.stack === b.stack
  );
}
