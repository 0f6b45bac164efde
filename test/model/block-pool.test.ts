import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockPool } from '../../src/core/block-pool.ts';
import { BlockSlab } from '../../src/core/block-slab.ts';
import { NONE } from '../../src/core/ids.ts';
import { PrefixCache } from '../../src/core/prefix-cache.ts';

const BLOCKS = 9;

/** The specification: arrays and counts, searched from end to end. */
class NaivePool {
  list = Array.from({ length: BLOCKS }, (_, block) => block);
  refs = new Array<number>(BLOCKS).fill(0);
  fences: { block: number; step: number }[] = [];
  cached = new Set<number>();
  step = 0;

  isFenced(block: number): boolean {
    return this.fences.some((fence) => fence.block === block);
  }

  free(block: number, toHead: boolean): void {
    if (toHead) this.list.unshift(block);
    else this.list.push(block);
  }

  release(block: number, fence: number, emptyToHead: boolean): void {
    if (fence !== NONE) this.fences.push({ block, step: fence });
    if (--this.refs[block]! === 0 && !this.isFenced(block)) this.free(block, emptyToHead && !this.cached.has(block));
  }

  get owned(): number[] {
    return this.refs.flatMap((refs, block) => (refs > 0 ? [block] : []));
  }
}

interface Real {
  readonly pool: BlockPool;
  readonly cache: PrefixCache;
}

type Command = fc.Command<NaivePool, Real>;

function agree(model: NaivePool, { pool }: Real): void {
  const list: number[] = [];
  for (let block = pool.head(); block !== NONE && list.length <= BLOCKS; block = pool.following(block))
    list.push(block);
  expect(list).toEqual(model.list);
  const refs = model.refs.map((_, block) => pool.refs(block));
  expect(refs).toEqual(model.refs);
  const used = model.owned.length;
  const fenced = model.refs.filter((count, block) => count === 0 && model.isFenced(block)).length;
  expect({ available: pool.available, cached: pool.cached, used: pool.used, fenced: pool.fenced }).toEqual({
    available: model.list.length,
    cached: model.list.filter((block) => model.cached.has(block)).length,
    used,
    fenced,
  });
  expect(pool.available + pool.used + pool.fenced).toBe(BLOCKS);
  for (let block = 0; block < BLOCKS; block++) expect(pool.isListed(block)).toBe(model.list.includes(block));
}

function command(
  name: string,
  run: (model: NaivePool, real: Real) => void,
  check: (model: NaivePool) => boolean = () => true,
): Command {
  return {
    check: (model) => check(model),
    run: (model, real) => {
      run(model, real);
      agree(model, real);
    },
    toString: () => name,
  };
}

const key = (content: number) => ({ lane0: 1, lane1: content, exact: true });
const NO_TOKENS = new Int32Array(0);

const take = fc.record({ count: fc.integer({ min: 1, max: 4 }), many: fc.boolean() }).map(({ count, many }) =>
  command(
    `take(${count}, ${many ? 'at once' : 'one by one'})`,
    (model, { pool, cache }) => {
      const taken = new Int32Array(count);
      if (many) pool.takeMany(count, taken, 0);
      else for (let i = 0; i < count; i++) taken[i] = pool.take();
      expect([...taken]).toEqual(model.list.splice(0, count));
      for (const block of taken) {
        model.refs[block] = 1;
        model.cached.delete(block);
        cache.drop(block);
      }
    },
    (model) => model.list.length >= count,
  ),
);

const touch = fc.nat(BLOCKS - 1).map((block) =>
  command(`touch(${block})`, (model, { pool }) => {
    pool.touch(block);
    model.refs[block]!++;
    model.list = model.list.filter((listed) => listed !== block);
  }),
);

const release = fc
  .record({
    picks: fc.array(fc.nat(BLOCKS), { minLength: 1, maxLength: 4 }),
    ahead: fc.constantFrom(NONE, 0, 1),
    emptyToHead: fc.boolean(),
  })
  .map(({ picks, ahead, emptyToHead }) =>
    command(
      `release(${picks}, fence ${ahead}, ${emptyToHead})`,
      (model, { pool }) => {
        const blocks = [...new Set(picks.map((pick) => model.owned[pick % model.owned.length]!))];
        const fence = ahead === NONE ? NONE : model.step + ahead;
        pool.releaseMany(Int32Array.from([NONE, ...blocks]), 1, blocks.length, fence, emptyToHead);
        for (const block of blocks.reverse()) model.release(block, fence, emptyToHead);
      },
      (model) => model.owned.length > 0,
    ),
  );

const releaseOne = fc
  .record({ pick: fc.nat(BLOCKS), ahead: fc.constantFrom(NONE, 0, 1), toHead: fc.boolean() })
  .map(({ pick, ahead, toHead }) =>
    command(
      `releaseOne(${pick}, fence ${ahead}, ${toHead})`,
      (model, { pool }) => {
        const block = model.owned[pick % model.owned.length]!;
        const fence = ahead === NONE ? NONE : model.step + ahead;
        pool.release(block, fence, toHead);
        if (fence !== NONE) model.fences.push({ block, step: fence });
        if (--model.refs[block]! === 0 && !model.isFenced(block)) model.free(block, toHead);
      },
      (model) => model.owned.length > 0,
    ),
  );

const stepEnds = fc.boolean().map((emptyFirst) =>
  command(`stepEnds(${emptyFirst})`, (model, { pool }) => {
    pool.liftFences(model.step, emptyFirst);
    while (model.fences.length > 0 && model.fences[0]!.step <= model.step) {
      const { block } = model.fences.shift()!;
      if (model.refs[block] === 0 && !model.isFenced(block)) model.free(block, emptyFirst && !model.cached.has(block));
    }
    model.step++;
  }),
);

const dropContent = fc.record({ block: fc.nat(BLOCKS - 1), toHead: fc.boolean() }).map(({ block, toHead }) =>
  command(
    `dropContent(${block}, ${toHead})`,
    (model, { pool, cache }) => {
      cache.drop(block);
      pool.contentDropped(block, toHead);
      model.cached.delete(block);
      if (toHead && model.list.includes(block))
        model.list = [block, ...model.list.filter((listed) => listed !== block)];
    },
    (model) => model.cached.has(block),
  ),
);

const publish = fc.nat(BLOCKS - 1).map((block) =>
  command(
    `publish(${block})`,
    (model, { cache }) => {
      cache.publish(block, PrefixCache.root(0), key(block), NO_TOKENS, 0, 0);
      model.cached.add(block);
    },
    (model) => model.refs[block]! > 0 && !model.cached.has(block),
  ),
);

describe('BlockPool', () => {
  it('behaves as a list of blocks that is searched from end to end', () => {
    const commands = fc.commands([take, take, touch, release, release, releaseOne, stepEnds, dropContent, publish], {
      maxCommands: 60,
      size: 'max',
    });
    fc.assert(
      fc.property(commands, (list) => {
        fc.modelRun(() => {
          const slab = new BlockSlab(BLOCKS);
          return {
            model: new NaivePool(),
            real: { pool: new BlockPool(BLOCKS, slab), cache: new PrefixCache(BLOCKS, 4, slab) },
          };
        }, list);
      }),
      { numRuns: 400 },
    );
  });

  it('holds more fences than its queue began with', () => {
    const pool = new BlockPool(2);
    const block = pool.take();
    for (let i = 0; i < 1000; i++) {
      pool.touch(block);
      pool.release(block, i, false);
    }
    pool.release(block, NONE, false);
    pool.liftFences(998, false);
    expect(pool.fenced).toBe(1);
    pool.liftFences(999, false);
    expect({ fenced: pool.fenced, available: pool.available }).toEqual({ fenced: 0, available: 2 });
  });
});
