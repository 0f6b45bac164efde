import { type Engine, NONE, type Sequence } from '../../core/index.ts';

/*
 * Bugs of the memory management, committed on purpose: what audit, leak report and alerts are tried with. After one of them
 * `checkEngine` fails, as it should.
 */

/**
 * Takes up to `count` available blocks in the name of the sequence that has run longest (or of nobody) without writing them
 * into its table: nobody will ever return them. Returns those that were taken.
 */
export function leakBlocks(engine: Engine, count: number): readonly number[] {
  const { pool, cache, observer } = engine.kv;
  const taken: number[] = [];
  while (taken.length < count && pool.available > 0) {
    const block = pool.take();
    taken.push(block);
    if (cache.has(block)) cache.drop(block);
  }
  const holder = engine.scheduler.running[0];
  if (holder !== undefined) observer?.allocated(holder, Int32Array.from(taken), 0, taken.length);
  return taken;
}

/**
 * Counts one reference too many for the last block of a running sequence that owns it alone; when that sequence ends the
 * block stays. Returns the block, or NONE when nothing runs.
 */
export function miscountReference(engine: Engine): number {
  const { kv, scheduler } = engine;
  const victim: Sequence | undefined = scheduler.running[0];
  if (victim === undefined || victim.blocks === 0) return NONE;
  const block = kv.tables[victim.slot * kv.tableStride + victim.blocks - 1]!;
  kv.pool.touch(block);
  kv.observer?.shared(victim, Int32Array.of(block), 0, 1);
  return block;
}
