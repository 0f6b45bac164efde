import type { Engine } from './engine.ts';
import { InvariantError } from './errors.ts';
import { NONE } from './ids.ts';
import type { Sequence } from './sequence.ts';

/**
 * Checks every law of the engine that its always-on asserts cannot see at one place: O(blocks + sequences). Throws
 * InvariantError naming the law. Run after every step in tests; elsewhere at most once per `checkIntervalNs`, and at the
 * end of a run.
 */
export function checkEngine(engine: Engine): void {
  checkQueues(engine);
  checkSequences(engine);
  checkBlocks(engine);
  checkPrefixCache(engine);
  checkHostBlocks(engine);
  checkConservation(engine);
}

function fail(law: string, detail: string): never {
  throw new InvariantError(law, detail);
}

function check(condition: boolean, law: string, detail: () => string): void {
  if (!condition) fail(law, detail());
}

/** All live sequences, leaders first. */
function liveSequences(engine: Engine): Sequence[] {
  const live: Sequence[] = [];
  for (const leader of engine.requests.values()) {
    if (leader.state !== 'finished') live.push(leader);
    if (leader.siblings !== null)
      for (const sibling of leader.siblings) if (sibling.state !== 'finished') live.push(sibling);
  }
  return live;
}

/** A sequence is in exactly one queue, the one that its state names. */
function checkQueues(engine: Engine): void {
  const { running, waiting, swapped } = engine.scheduler;
  swapped.check();
  running.forEach((sequence, i) => {
    check(
      sequence.runningIndex === i,
      'one queue per sequence',
      () => `${name(sequence)} runs at ${i}, thinks ${sequence.runningIndex}`,
    );
    check(
      sequence.state === 'running',
      'one queue per sequence',
      () => `${name(sequence)} is ${sequence.state} in the running list`,
    );
  });
  check(running.length <= engine.config.sequencesMax, 'running sequences are bounded', () => `${running.length}`);
  waiting.check(running);
  let held = 0;
  let counted = 0;
  for (const sequence of liveSequences(engine)) {
    const isWaiting = waiting.has(sequence);
    const isSwapped = swapped.has(sequence);
    const isRunning = sequence.runningIndex !== NONE;
    const right =
      isWaiting === (sequence.state === 'waiting') &&
      isSwapped === (sequence.state === 'swapped') &&
      isRunning === (sequence.state === 'running');
    check(
      right,
      'one queue per sequence',
      () => `${name(sequence)}: ${sequence.state}, waiting ${isWaiting}, swapped ${isSwapped}, running ${isRunning}`,
    );
    if (sequence.state === 'held') held++;
    else counted++;
  }
  check(held === engine.held, 'held siblings are counted', () => `${held} live, ${engine.held} counted`);
  const queued = running.length + waiting.size + swapped.size;
  check(counted === queued, 'every queued sequence is live', () => `${counted} live, ${queued} queued`);
}

function checkSequences(engine: Engine): void {
  const slots = new Set<number>();
  for (const s of liveSequences(engine)) {
    const size = engine.config.blockSize;
    check(s.knownTokens === s.promptTokens + s.outputTokens, 'known = prompt + output', () => name(s));
    check(s.outputTokens <= s.outputTokensMax, 'output is bounded', () => name(s));
    check(s.capacityTokens === s.blocks * size, 'capacity = blocks x block size', () => name(s));
    check(s.computedTokens >= 0, 'computed is not negative', () => `${name(s)}: ${s.computedTokens}`);
    check(
      s.cacheBlocks * size <= s.computedTokens,
      'published blocks are computed',
      () => `${name(s)}: ${s.cacheBlocks} published, ${s.computedTokens} computed`,
    );
    check(s.acceptedDraftTokens <= s.proposedDraftTokens, 'accepted drafts were proposed', () => name(s));
    check(s.proposedDraftTokens === 0 || s.outputTokens > 0, 'drafts follow a token', () => name(s));
    check(
      s.bypassed <= engine.config.bypassedMax,
      'a waiting sequence is passed over a bounded number of times',
      () => `${name(s)}: ${s.bypassed} times`,
    );
    if (s.state === 'running') {
      check(s.slot !== NONE && !slots.has(s.slot), 'one slot per running sequence', () => `${name(s)}: slot ${s.slot}`);
      slots.add(s.slot);
      check(
        s.capacityTokens >= s.computedTokens,
        'table covers what is computed',
        () => `${name(s)}: ${s.blocks} blocks, ${s.computedTokens} tokens`,
      );
      check(s.computedTokens < s.knownTokens + s.placeholders + 1, 'computed stays behind known', () => name(s));
    } else {
      check(
        s.slot === NONE && s.blocks === 0,
        'only running sequences hold blocks',
        () => `${name(s)}: ${s.state}, slot ${s.slot}, ${s.blocks} blocks`,
      );
    }
    check(
      s.request.arrivalNs <= (s.admittedNs === NONE ? engine.clock.nowNs() : s.admittedNs),
      'arrival before admission',
      () => name(s),
    );
    if (s.firstTokenNs !== NONE) {
      check(
        s.admittedNs <= s.firstTokenNs && s.firstTokenNs <= s.lastTokenNs,
        'admission before first before last token',
        () => name(s),
      );
    }
  }
  if (engine.inFlight.length === 0) {
    for (const s of liveSequences(engine)) {
      check(s.inFlight === 0 && s.placeholders === 0, 'nothing is expected when nothing is in flight', () => name(s));
    }
  }
}

/** free + cached + in use + fenced = total; references = owners; nobody writes into a shared or published block. */
function checkBlocks(engine: Engine): void {
  const { pool, cache, tables, tableStride } = engine.kv;
  const owners = new Int32Array(pool.total);
  for (const s of engine.scheduler.running) {
    const row = s.slot * tableStride;
    for (let i = 0; i < s.blocks; i++) {
      const block = tables[row + i]!;
      if (!(block >= 0 && block < pool.total)) fail('table entries are blocks', `${name(s)}[${i}] = ${block}`);
      owners[block]!++;
    }
  }
  for (const s of engine.scheduler.running) {
    const write = Math.floor(s.computedTokens / engine.config.blockSize);
    // While failed steps come back, a block to be computed again may have owners whose own step is about to fail.
    if (write >= s.blocks || engine.recovering) continue;
    const block = tables[s.slot * tableStride + write]!;
    if (owners[block] !== 1)
      fail('the block written next has one owner', `${name(s)}: block ${block} has ${owners[block]}`);
    if (cache.has(block)) fail('the block written next is not published', `${name(s)}: block ${block}`);
  }
  let used = 0;
  for (let block = 0; block < pool.total; block++) {
    const refs = pool.refs(block);
    if (refs !== owners[block])
      fail('references = owners', `block ${block}: ${refs} references, ${owners[block]} owners`);
    if (refs === 0) continue;
    used++;
    if (pool.isListed(block)) fail('a block in use is not available', `block ${block}`);
  }
  if (used !== pool.used) fail('blocks in use are counted', `${used} used, ${pool.used} counted`);
  let listed = 0;
  let cached = 0;
  const seen = owners;
  for (let block = pool.head(); block !== NONE; block = pool.following(block)) {
    if (seen[block] !== 0) fail('a block is listed once', `block ${block}`);
    seen[block] = 1;
    listed++;
    if (cache.has(block)) cached++;
  }
  if (cached !== pool.cached)
    fail('cached blocks are counted', `${cached} listed with content, ${pool.cached} counted`);
  if (listed !== pool.available) fail('available blocks are counted', `${listed} listed, ${pool.available} counted`);
  if (listed + used + pool.fenced !== pool.total) {
    fail('available + in use + fenced = total', `${listed} + ${used} + ${pool.fenced} of ${pool.total}`);
  }
  if (engine.inFlight.length === 0 && pool.fenced > 0)
    fail('no fence without a step in flight', `${pool.fenced} fenced`);
}

/** A bijection between blocks and the duplicate lists of live nodes; running sequences stand on live chains. */
function checkPrefixCache(engine: Engine): void {
  const { pool, cache, tables, tableStride } = engine.kv;
  let entries = 0;
  for (let block = 0; block < pool.total; block++) {
    const node = cache.nodeOf(block);
    if (node === NONE) continue;
    entries++;
    let found = cache.blockOf(node);
    while (found !== block && found !== NONE) found = cache.duplicateAfter(found);
    if (found === NONE) fail('a published block is found under its node', `block ${block}, node ${node}`);
  }
  if (entries !== cache.entries)
    fail('prefix cache entries are counted', `${entries} blocks, ${cache.entries} counted`);
  for (const s of engine.scheduler.running) {
    if (s.cacheBlocks === 0) continue;
    const tip = cache.nodeOf(tables[s.slot * tableStride + s.cacheBlocks - 1]!);
    if (tip === NONE || s.cacheNode !== tip)
      fail('running sequences stand on live chains', `${name(s)}: node ${s.cacheNode}, its last block has ${tip}`);
  }
}

function checkHostBlocks(engine: Engine): void {
  let held = 0;
  const seen = new Set<number>();
  for (const s of liveSequences(engine)) {
    check((s.hostBlocks !== null) === (s.state === 'swapped'), 'only swapped sequences hold host blocks', () =>
      name(s),
    );
    for (const block of s.hostBlocks ?? []) {
      check(!seen.has(block), 'a host block has one owner', () => `${block}`);
      seen.add(block);
      held++;
    }
  }
  const { hostAvailable, hostTotal } = engine.kv;
  check(
    held + hostAvailable === hostTotal,
    'host blocks are conserved',
    () => `${held} + ${hostAvailable} of ${hostTotal}`,
  );
}

/** injected = completed + rejected + aborted + timed out + failed + live. */
function checkConservation(engine: Engine): void {
  const live = liveSequences(engine).length;
  const { injected, ended } = engine.totals;
  check(
    injected === ended + live,
    'requests are conserved',
    () => `${injected} injected, ${ended} ended, ${live} live`,
  );
  engine.scheduler.speculation?.check();
}

function name(sequence: Sequence): string {
  return `request ${sequence.request.id}.${sequence.index}`;
}
