import { describe, expect, it } from 'vitest';
import { NEXT, OTHER, SELF, STATE, STRIDE } from '../../src/core/block-slab.ts';
import { checkEngine, NONE, type Sequence } from '../../src/core/index.ts';
import { EngineRig } from '../support/engine-rig.ts';

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

/** An engine between two steps with all that the laws speak of: shared and cached blocks, a queue, a held sibling. */
class Busy {
  readonly rig = new EngineRig({ config: { hostBlocksTotal: 4, sequencesMax: 2 } });
  /** Two that run and share the first blocks of their prompts. */
  readonly one: Sequence;
  readonly two: Sequence;
  /** One that waits for a place in the batch, with a sibling that waits for its prompt. */
  readonly waits: Sequence;

  constructor() {
    const { rig } = this;
    rig.submit({ prompt: numbers(9, 100), outputTokensMax: 1 });
    rig.finish();
    this.one = rig.submit({ prompt: numbers(9), outputTokensMax: 20 });
    rig.step();
    this.two = rig.submit({ prompt: numbers(10), outputTokensMax: 20 });
    rig.step();
    this.waits = rig.submit({ prompt: numbers(9, 200), sampling: { n: 2 } });
    rig.step();
  }

  get engine() {
    return this.rig.engine;
  }

  get pool() {
    return this.engine.kv.pool;
  }

  get cache() {
    return this.engine.kv.cache;
  }

  /** The flags and links of the blocks. */
  get slab() {
    return this.cache['slab'];
  }

  /** First block of those that run: it is shared. */
  get shared(): number {
    return this.rig.blocksOf(this.one)[0]!;
  }

  /** Block that the first one writes next. */
  get tail(): number {
    return this.rig.blocksOf(this.one)[Math.floor(this.one.computedTokens / 4)]!;
  }
}

/** The law, as the error names it, and a way to break it behind the engine's back. */
const BROKEN: [law: string, breakIt: (busy: Busy) => void][] = [
  ['available + in use + fenced = total', ({ pool }) => pool.fenced--],
  [
    'a waiting sequence is passed over a bounded number of times',
    ({ engine, waits }) => {
      waits.bypassed = engine.config.bypassedMax + 1;
    },
  ],
  ['available blocks are counted', ({ pool }) => pool.available++],
  ['cached blocks are counted', ({ pool }) => pool.cached++],
  ['blocks in use are counted', ({ pool }) => pool.used++],
  ['no fence without a step in flight', ({ pool, engine }) => pool.release(pool.take(), engine.stepsDone + 1, false)],
  ['references = owners', ({ pool, shared }) => pool.touch(shared)],
  ['table entries are blocks', ({ engine, pool, one }) => setBlock(engine, one, 0, pool.total)],
  ['a block in use is not available', ({ slab, pool, shared }) => setWord(slab, shared, NEXT, pool.head())],
  ['a block is listed once', ({ slab, pool }) => setWord(slab, pool.following(pool.head()), NEXT, pool.head())],
  ['the block written next has one owner', shareTail],
  ['the block written next is not published', ({ slab, tail }) => setWord(slab, tail, STATE, SELF)],
  ['a published block is found under its node', ({ slab, shared }) => setWord(slab, shared, STATE, OTHER)],
  ['prefix cache entries are counted', ({ cache }) => cache.entries--],
  ['running sequences stand on live chains', ({ one }) => one.cacheNode++],
  ['running sequences stand on live chains', ({ cache, shared, one }) => dropTip(cache, shared, one)],
  ['published blocks are computed', ({ one }) => (one.cacheBlocks = one.blocks + 1)],
  ['table covers what is computed', ({ one }) => (one.computedTokens = one.capacityTokens + 1)],
  ['capacity = blocks x block size', ({ one }) => one.capacityTokens++],
  ['known = prompt + output', ({ one }) => one.knownTokens++],
  ['nothing is expected when nothing is in flight', ({ one }) => one.inFlight++],
  ['host blocks are conserved', ({ engine }) => engine.kv['hostFreeCount']--],
  ['a host block has one owner', (busy) => swapOut(busy, [1, 1])],
  ['only swapped sequences hold host blocks', ({ one }) => (one.hostBlocks = Int32Array.of(0))],
  ['only running sequences hold blocks', ({ waits }) => Object.assign(waits, { blocks: 1, capacityTokens: 4 })],
  ['one slot per running sequence', ({ one, two }) => (two.slot = one.slot)],
  ['one queue per sequence', ({ engine, one }) => engine.scheduler.waiting.push(one)],
  ['running sequences are bounded', runToo],
  ['every queued sequence is live', ({ engine, one }) => engine.requests.delete(one.request.id)],
  ['held siblings are counted', ({ engine }) => engine.held--],
  ['requests are conserved', ({ engine }) => engine.totals.injected++],
  ['requests are conserved', ({ engine }) => engine.totals.ends('stop')],
  ['arrival before admission', ({ one }) => (one.admittedNs = one.request.arrivalNs - 1)],
  ['admission before first before last token', ({ one }) => (one.firstTokenNs = one.lastTokenNs + 1)],
];

function setWord(slab: Busy['slab'], block: number, field: number, value: number): void {
  slab.hot[block * STRIDE + field] = value;
}

function setBlock(engine: Busy['engine'], sequence: Sequence, index: number, block: number): void {
  engine.kv.tables[sequence.slot * engine.kv.tableStride + index] = block;
}

/** The second one gives its last block back and goes on in that of the first. */
function shareTail({ engine, rig, pool, two, tail }: Busy): void {
  const index = two.blocks - 1;
  pool.release(rig.blocksOf(two)[index]!, NONE, false);
  pool.touch(tail);
  setBlock(engine, two, index, tail);
}

/** The chain's tip loses its content, and the sequence is not told. */
function dropTip(cache: Busy['cache'], shared: number, one: Sequence): void {
  one.cacheBlocks = 1;
  one.cacheNode = cache.nodeOf(shared);
  cache.drop(shared);
}

function swapOut({ engine, waits }: Busy, hostBlocks: number[]): void {
  engine.scheduler.waiting.remove(waits);
  waits.state = 'swapped';
  waits.hostBlocks = Int32Array.from(hostBlocks);
  engine.scheduler.swapped.push(waits);
}

function runToo({ engine, waits }: Busy): void {
  engine.scheduler.waiting.remove(waits);
  waits.state = 'running';
  waits.runningIndex = engine.scheduler.running.push(waits) - 1;
}

describe('checkEngine', () => {
  it('finds nothing in an engine at work', () => {
    const { rig, pool, one, two, waits } = new Busy();
    expect(() => checkEngine(rig.engine)).not.toThrow();
    expect([one.state, two.state, waits.state]).toEqual(['running', 'running', 'waiting']);
    expect(two.cachedPromptTokens).toBeGreaterThan(0);
    expect(pool.cached).toBeGreaterThan(0);
    expect(rig.engine.held).toBe(1);
  });

  it.each(BROKEN)('%s', (law, breakIt) => {
    const busy = new Busy();
    breakIt(busy);
    expect(() => checkEngine(busy.rig.engine)).toThrow(`invariant "${law}" violated`);
  });
});
