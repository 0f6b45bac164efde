import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NONE } from '../../src/core/ids.ts';
import { PrefixCache } from '../../src/core/prefix-cache.ts';
import type { BlockKey } from '../../src/core/token-source.ts';

const BLOCKS = 12;
const SIZE = 2;

/** Content of one block: exact (its number is its content) or hashed, all with the same hash, so that only tokens tell. */
interface Content {
  readonly value: number;
  readonly exact: boolean;
}

const keyOf = ({ value, exact }: Content): BlockKey =>
  exact ? { lane0: 5, lane1: value, exact } : { lane0: 5, lane1: 0, exact };
const tokensOf = ({ value }: Content) => Int32Array.from([99, value, value + 1]);
const label = (content: Content) => `${content.exact ? 'e' : 'h'}${content.value}`;

/** The specification: each block with the whole path of its content as text; no nodes, no chains. */
class NaiveCache {
  readonly published: { block: number; path: string; readyStep: number }[] = [];
  step = 0;

  holders(path: string): number[] {
    return this.published.filter((entry) => entry.path === path).map((entry) => entry.block);
  }

  /** A prefix is known while a block holds it or something behind it. */
  isKnown(path: string): boolean {
    return this.published.some((entry) => entry.path === path || entry.path.startsWith(`${path}/`));
  }

  get nodes(): number {
    const paths = new Set<string>();
    for (const { path } of this.published) {
      const parts = path.split('/');
      for (let i = 2; i <= parts.length; i++) paths.add(parts.slice(0, i).join('/'));
    }
    return paths.size;
  }
}

type Command = fc.Command<NaiveCache, PrefixCache>;

const content = fc.record({ value: fc.nat(2), exact: fc.boolean() });
const chain = fc.record({ salt: fc.nat(1), contents: fc.array(content, { minLength: 1, maxLength: 4 }) });
type Chain = { readonly salt: number; readonly contents: readonly Content[] };

/** Follows a chain as a lookup does; node of its end, or NONE. */
function follow(cache: PrefixCache, { salt, contents }: Chain): number {
  let node = PrefixCache.root(salt);
  for (const entry of contents) {
    node = cache.find(node, keyOf(entry), tokensOf(entry), 1);
    if (node === NONE) return NONE;
  }
  return node;
}

const pathOf = ({ salt, contents }: Chain) => [`s${salt}`, ...contents.map(label)].join('/');

function holdersOf(cache: PrefixCache, node: number): number[] {
  const blocks: number[] = [];
  for (let block = cache.blockOf(node); block !== NONE && blocks.length <= BLOCKS; block = cache.duplicateAfter(block))
    blocks.push(block);
  return blocks;
}

function agree(model: NaiveCache, cache: PrefixCache): void {
  expect(cache.entries).toBe(model.published.length);
  expect(cache.nodesLive).toBe(model.nodes);
  const published = new Map(model.published.map((entry) => [entry.block, entry]));
  for (let block = 0; block < BLOCKS; block++) {
    const entry = published.get(block);
    expect(cache.has(block)).toBe(entry !== undefined);
    if (entry === undefined) {
      expect(cache.nodeOf(block)).toBe(NONE);
      continue;
    }
    expect(cache.readyStep(block)).toBe(entry.readyStep);
    expect(holdersOf(cache, cache.nodeOf(block)), 'duplicates in the order of publication').toEqual(
      model.holders(entry.path),
    );
  }
}

/** Publishes blocks along a chain as a sequence does: what is there is a hit, what is not (or was evicted) is computed again. */
class Publish implements Command {
  readonly chain: Chain;
  readonly duplicate: boolean;
  constructor(chain: Chain, duplicate: boolean) {
    this.chain = chain;
    this.duplicate = duplicate;
  }
  check(): boolean {
    return true;
  }
  run(model: NaiveCache, cache: PrefixCache): void {
    const readyStep = model.step++;
    let node = PrefixCache.root(this.chain.salt);
    for (let i = 0; i < this.chain.contents.length; i++) {
      const entry = this.chain.contents[i]!;
      const path = pathOf({ salt: this.chain.salt, contents: this.chain.contents.slice(0, i + 1) });
      const holders = model.holders(path);
      const isHit = holders.length > 0 && !(this.duplicate && i === this.chain.contents.length - 1);
      if (isHit) {
        node = cache.find(node, keyOf(entry), tokensOf(entry), 1);
        expect(holdersOf(cache, node)).toEqual(holders);
        continue;
      }
      const block = Array.from({ length: BLOCKS }, (_, b) => b).find((b) => !cache.has(b));
      if (block === undefined) return;
      node = cache.publish(block, node, keyOf(entry), tokensOf(entry), 1, readyStep);
      expect(cache.nodeOf(block)).toBe(node);
      model.published.push({ block, path, readyStep });
    }
    agree(model, cache);
  }
  toString(): string {
    return `publish(${pathOf(this.chain)}${this.duplicate ? ', again' : ''})`;
  }
}

class Drop implements Command {
  readonly block: number;
  constructor(block: number) {
    this.block = block;
  }
  check(): boolean {
    return true;
  }
  run(model: NaiveCache, cache: PrefixCache): void {
    cache.drop(this.block);
    const index = model.published.findIndex((entry) => entry.block === this.block);
    if (index >= 0) model.published.splice(index, 1);
    agree(model, cache);
  }
  toString(): string {
    return `drop(${this.block})`;
  }
}

class Find implements Command {
  readonly chain: Chain;
  constructor(chain: Chain) {
    this.chain = chain;
  }
  check(): boolean {
    return true;
  }
  run(model: NaiveCache, cache: PrefixCache): void {
    const path = pathOf(this.chain);
    const node = follow(cache, this.chain);
    expect(node !== NONE, `${path} is known`).toBe(model.isKnown(path));
    if (node === NONE) return;
    expect(holdersOf(cache, node)).toEqual(model.holders(path));
    const last = this.chain.contents.at(-1)!;
    if (!last.exact) {
      expect(cache.commonTokens(node, Int32Array.from([last.value, last.value + 1]), 0, SIZE)).toBe(SIZE);
      expect(cache.commonTokens(node, Int32Array.from([last.value, last.value]), 0, SIZE)).toBe(1);
    }
    const child = cache.lastChildOf(node);
    if (child !== NONE) expect(cache.parentOf(child)).toBe(node);
  }
  toString(): string {
    return `find(${pathOf(this.chain)})`;
  }
}

describe('PrefixCache', () => {
  it('behaves as a list of blocks with their whole texts, though all hashes collide', () => {
    const publish = fc.tuple(chain, fc.boolean()).map(([path, duplicate]) => new Publish(path, duplicate));
    const drop = fc.nat(BLOCKS - 1).map((block) => new Drop(block));
    const find = chain.map((path) => new Find(path));
    fc.assert(
      fc.property(fc.commands([publish, publish, drop, drop, find], { maxCommands: 80, size: 'max' }), (commands) => {
        fc.modelRun(() => ({ model: new NaiveCache(), real: new PrefixCache(BLOCKS, SIZE) }), commands);
      }),
      { numRuns: 500 },
    );
  });

  it('finds a partial match under the youngest child', () => {
    const cache = new PrefixCache(4, SIZE);
    const root = PrefixCache.root(0);
    const publish = (block: number, parent: number, value: number) =>
      cache.publish(block, parent, keyOf({ value, exact: false }), tokensOf({ value, exact: false }), 1, 0);
    const head = publish(0, root, 1);
    const elder = publish(1, head, 10);
    const younger = publish(2, head, 20);
    expect(cache.lastChildOf(head)).toBe(younger);
    expect(publish(3, head, 10), 'a duplicate is no new child').toBe(elder);
    expect(cache.lastChildOf(head)).toBe(younger);
  });
});
