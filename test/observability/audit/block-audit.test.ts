import { describe, expect, it } from 'vitest';
import { leakBlocks, miscountReference } from '../../../src/backends/simulated/index.ts';
import { auditBlocks, isClean } from '../../../src/observability/index.ts';
import { EngineRig } from '../../support/engine-rig.ts';

const PROMPT = Array.from({ length: 10 }, (_, i) => i + 1);

describe('auditBlocks', () => {
  it('counts the three states and the fenced, and finds nothing in an engine that is right', () => {
    const rig = new EngineRig({ config: { stepsInFlight: 2 } });
    const first = rig.submit({ prompt: PROMPT, outputTokensMax: 20 });
    rig.submit({ prompt: PROMPT.toReversed(), outputTokensMax: 20 });
    for (let i = 0; i < 3; i++) rig.step();
    rig.begin();
    rig.engine.abort(first.request.id);
    const report = auditBlocks(rig.engine);
    expect(isClean(report)).toBe(true);
    expect(report.fenced).toBeGreaterThan(0);
    expect(report.inUse + report.cached + report.free + report.fenced).toBe(report.blocksTotal);
    rig.end();
    while (!rig.engine.idle) rig.step();
    const idle = auditBlocks(rig.engine);
    expect(isClean(idle)).toBe(true);
    expect(idle).toMatchObject({ inUse: 0, fenced: 0 });
    // Content without an owner is cached, not leaked.
    expect(idle.cached).toBeGreaterThan(0);
  });

  it('finds leaked blocks while work goes on, as one range', () => {
    const rig = new EngineRig();
    rig.submit({ prompt: PROMPT, outputTokensMax: 8 });
    rig.step();
    leakBlocks(rig.engine, 3);
    const report = auditBlocks(rig.engine);
    expect(report).toMatchObject({ orphaned: 3, mismatched: 0, findingsLeftOut: 0 });
    expect(
      report.findings.map(({ kind, first, last, references, owners }) => [kind, last - first + 1, references, owners]),
    ).toEqual([['orphaned', 3, 1, 0]]);
  });

  it('finds a wrong reference count, names who holds the block, and finds it orphaned when that one has ended', () => {
    const rig = new EngineRig();
    const sequence = rig.submit({ prompt: PROMPT, outputTokensMax: 8 });
    rig.submit({ prompt: PROMPT.toReversed(), outputTokensMax: 30 });
    rig.step();
    const block = miscountReference(rig.engine);
    const report = auditBlocks(rig.engine);
    expect(report).toMatchObject({ orphaned: 0, mismatched: 1 });
    expect(report.findings).toMatchObject([
      {
        kind: 'mismatch',
        first: block,
        last: block,
        references: 2,
        owners: 1,
        holders: [{ request: sequence.request.id, index: 0 }],
      },
    ]);
    rig.engine.abort(sequence.request.id);
    expect(auditBlocks(rig.engine)).toMatchObject({ orphaned: 1, mismatched: 0 });
  });

  it('shared blocks of forks and hits are no mismatch', () => {
    const rig = new EngineRig();
    rig.submitAll({ prompt: PROMPT, outputTokensMax: 8, sampling: { n: 2 } });
    rig.step();
    rig.step();
    rig.submit({ prompt: PROMPT, outputTokensMax: 3 });
    rig.step();
    const { pool } = rig.engine.kv;
    const shared = Array.from({ length: pool.total }, (_, block) => pool.refs(block)).filter((refs) => refs > 1);
    expect(shared.length).toBeGreaterThan(0);
    expect(isClean(auditBlocks(rig.engine))).toBe(true);
  });
});
