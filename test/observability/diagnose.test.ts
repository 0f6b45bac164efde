import { describe, expect, it } from 'vitest';
import { leakBlocks } from '../../src/backends/simulated/index.ts';
import { BlockLedger, diagnose, diagnosisText } from '../../src/observability/index.ts';
import { EngineRig } from '../support/engine-rig.ts';

const PROMPT = Array.from({ length: 10 }, (_, i) => i + 1);

describe('diagnose', () => {
  it('names the step that the device does not give back, who is in it and who waits behind it', () => {
    const rig = new EngineRig({ config: { sequencesMax: 1 } });
    const running = rig.submit({ prompt: PROMPT, outputTokensMax: 8 });
    rig.step();
    const waiting = rig.submit({ prompt: PROMPT.toReversed(), outputTokensMax: 8 });
    rig.begin();
    rig.clock.advance(12e9);
    const diagnosis = diagnose(rig.engine);
    expect(diagnosis.verdict).toBe(
      'step 1 (1 rows) has been with the device for 12.0 s; 1 wait, the first for one of 1 places in the batch',
    );
    expect(diagnosis.inFlight).toMatchObject([{ stepId: 1, ageNs: 12e9, rows: 1 }]);
    expect(diagnosis.topHolders).toMatchObject([
      { request: running.request.id, blocks: 3, lastTokenAgeNs: 12e9, stepsInFlight: 1 },
    ]);
    expect(diagnosis.heads).toMatchObject([
      { request: waiting.request.id, queue: 'waiting', waitsFor: 'sequences', blocksNeeded: 3 },
    ]);
  });

  it('says that blocks are lacking, how many, who holds them and that some are lost', () => {
    const rig = new EngineRig({ config: { checkIntervalNs: 1e15 } });
    const ledger = new BlockLedger(16, rig.clock, { eventsPerBlock: 4, stacks: false });
    rig.engine.kv.observer = ledger;
    const holder = rig.submit({ prompt: PROMPT, outputTokensMax: 8 });
    rig.step();
    leakBlocks(rig.engine, 12);
    const waiting = rig.submit({ prompt: PROMPT.toReversed(), outputTokensMax: 8 });
    rig.step();
    const diagnosis = diagnose(rig.engine, ledger);
    expect(diagnosis.heads[0]).toMatchObject({ request: waiting.request.id, waitsFor: 'blocks' });
    expect(diagnosis.blocks).toMatchObject({ orphaned: 12, available: 1 });
    expect(diagnosis.verdict).toContain('the first for');
    expect(diagnosis.verdict).toContain('12 are orphaned');
    const text = diagnosisText(diagnosis, (request) => `client-${request}`);
    expect(text).toContain(`waiting: client-${waiting.request.id} since`);
    expect(text).toContain(`last held by client-${holder.request.id}`);
  });

  it('an idle engine is idle, and one whose blocks did not come back is not well', () => {
    const rig = new EngineRig();
    rig.submit({ prompt: PROMPT, outputTokensMax: 2 });
    rig.finish();
    expect(diagnose(rig.engine).verdict).toBe('idle: nothing runs and nothing waits');
    leakBlocks(rig.engine, 5);
    expect(diagnose(rig.engine).verdict).toContain('idle, but 5 blocks are in use: 5 are orphaned');
  });

  it('held siblings wait for their leader, a lost device is named', () => {
    const rig = new EngineRig();
    rig.submitAll({ prompt: PROMPT, outputTokensMax: 8, sampling: { n: 3 } });
    rig.begin();
    expect(diagnose(rig.engine).heads.map((head) => [head.queue, head.waitsFor])).toEqual([
      ['held', 'leader'],
      ['held', 'leader'],
    ]);
    rig.end({ status: 'device-lost' });
    expect(diagnose(rig.engine)).toMatchObject({ refusal: 'device-lost', requests: 0 });
    expect(diagnose(rig.engine).verdict).toContain('the device is lost');
  });
});
