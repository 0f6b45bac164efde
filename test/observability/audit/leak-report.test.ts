import { describe, expect, it } from 'vitest';
import { leakBlocks, miscountReference } from '../../../src/backends/simulated/index.ts';
import { auditBlocks, BlockLedger, leakReport } from '../../../src/observability/index.ts';
import { EngineRig, type RigOptions } from '../../support/engine-rig.ts';

const PROMPT = Array.from({ length: 10 }, (_, i) => i + 1);

/** A rig whose blocks are logged. */
function logged(options: RigOptions = {}, eventsPerBlock = 8, stacks = false) {
  const rig = new EngineRig(options);
  const ledger = new BlockLedger(rig.engine.config.blocksTotal, rig.clock, { eventsPerBlock, stacks });
  rig.engine.kv.observer = ledger;
  return { rig, ledger };
}

describe('BlockLedger', () => {
  it('keeps what happened to a block, oldest first, and no more than asked for', () => {
    const { rig, ledger } = logged({ config: { prefixCaching: false } }, 3);
    const blocks = new Set<number>();
    for (let request = 1; request <= 6; request++) {
      const sequence = rig.submit({ prompt: PROMPT, outputTokensMax: 2 }, request);
      rig.step();
      for (const block of rig.blocksOf(sequence)) blocks.add(block);
      rig.finish();
    }
    for (const block of blocks) {
      const events = ledger.history(block);
      expect(events.length).toBeLessThanOrEqual(3);
      expect(events.at(-1)!.action).toBe('free');
      expect(events.map((event) => event.timeNs)).toEqual(
        events.map((event) => event.timeNs).toSorted((a, b) => a - b),
      );
      expect(ledger.lastHolder(block)).toMatchObject({ request: events.at(-1)!.request, freed: true });
    }
  });

  it('tells hits, evictions and swaps apart', () => {
    const tight = { preemption: 'swap', hostBlocksTotal: 32, capacity: 'as-needed', blocksTotal: 8 } as const;
    const { rig, ledger } = logged({ config: tight }, 64);
    rig.submit({ prompt: PROMPT, outputTokensMax: 20 });
    rig.submit({ prompt: PROMPT.toReversed(), outputTokensMax: 20 });
    rig.finish();
    for (let i = 0; i < 2; i++) {
      rig.submit({ prompt: PROMPT, outputTokensMax: 2 });
      rig.finish();
    }
    const seen = new Set<string>();
    for (let block = 0; block < 8; block++) for (const event of ledger.history(block)) seen.add(event.action);
    expect([...seen].sort()).toEqual(['allocate', 'evict', 'free', 'share', 'swap-in', 'swap-out']);
  });

  it('of sharers it knows the one who has not given back', () => {
    const { rig, ledger } = logged();
    const first = rig.submit({ prompt: PROMPT, outputTokensMax: 30 });
    rig.step();
    const second = rig.submit({ prompt: PROMPT, outputTokensMax: 30 });
    rig.step();
    const [shared] = rig.blocksOf(first);
    expect(rig.engine.kv.pool.refs(shared!)).toBe(2);
    expect(ledger.lastHolder(shared!)).toMatchObject({ request: second.request.id, action: 'share', freed: false });
    rig.engine.abort(second.request.id);
    expect(ledger.lastHolder(shared!)).toMatchObject({ request: first.request.id, action: 'allocate', freed: false });
    rig.engine.abort(first.request.id);
    expect(ledger.lastHolder(shared!)).toMatchObject({ request: first.request.id, action: 'free', freed: true });
  });

  it('says where in the code a block was taken when asked for', () => {
    const { rig, ledger } = logged({}, 4, true);
    const sequence = rig.submit({ prompt: PROMPT, outputTokensMax: 30 });
    rig.step();
    expect(ledger.lastHolder(rig.blocksOf(sequence)[0]!)!.stack).toContain('kv-cache.ts');
  });
});

describe('leakReport', () => {
  it('names the request whose blocks were lost, while it runs and when it has ended', () => {
    const { rig } = logged();
    const guilty = rig.submit({ prompt: PROMPT, outputTokensMax: 8 });
    const other = rig.submit({ prompt: PROMPT.toReversed(), outputTokensMax: 30 });
    rig.step();
    leakBlocks(rig.engine, 3);
    expect(leakReport(rig.engine, rig.engine.kv.observer as BlockLedger)).toMatchObject({
      blocks: 3,
      blocksOfNobody: 0,
      byRequest: [{ request: guilty.request.id, index: 0, blocks: 3, lastAction: 'allocate', live: true }],
    });
    rig.engine.abort(guilty.request.id);
    rig.engine.abort(other.request.id);
    const report = leakReport(rig.engine, rig.engine.kv.observer as BlockLedger);
    expect(report.byRequest).toMatchObject([{ request: guilty.request.id, blocks: 3, live: false }]);
    expect(auditBlocks(rig.engine, rig.engine.kv.observer as BlockLedger).findings[0]!.lastHolder).toMatchObject({
      request: guilty.request.id,
    });
  });

  it('names the request of a reference too many', () => {
    const { rig, ledger } = logged();
    const sequence = rig.submit({ prompt: PROMPT, outputTokensMax: 8 });
    rig.step();
    miscountReference(rig.engine);
    expect(leakReport(rig.engine, ledger).byRequest).toMatchObject([{ request: sequence.request.id, blocks: 1 }]);
    rig.engine.abort(sequence.request.id);
    expect(leakReport(rig.engine, ledger).byRequest).toMatchObject([
      { request: sequence.request.id, blocks: 1, lastAction: 'allocate', live: false },
    ]);
  });

  it('is empty where nothing leaks, and counts without names where nothing is logged', () => {
    const { rig, ledger } = logged();
    rig.submit({ prompt: PROMPT, outputTokensMax: 8 });
    rig.step();
    expect(leakReport(rig.engine, ledger)).toMatchObject({ blocks: 0, byRequest: [], blocksOfNobody: 0 });
    leakBlocks(rig.engine, 2);
    expect(leakReport(rig.engine, null)).toMatchObject({ blocks: 2, byRequest: [], blocksOfNobody: 2 });
  });
});
