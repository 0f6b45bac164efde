import { describe, expect, it } from 'vitest';
import { EngineRig } from '../support/engine-rig.ts';

describe('Engine.submit', () => {
  it('refuses the id of a live request, and what it took in before goes on', () => {
    const rig = new EngineRig();
    const sequence = rig.submit({ prompt: [1, 2, 3] }, 7);
    rig.step();
    expect(() => rig.submit({ prompt: [4, 5, 6] }, 7)).toThrow('a live request id is not submitted again');
    expect(rig.engine.totals).toMatchObject({ requests: 1, injected: 1 });
    rig.finish();
    expect(rig.heardOf(sequence).tokens).toEqual(rig.memory!.output(sequence, 4));
    expect(rig.heardOf(sequence).ends).toEqual(['length']);
  });

  it('refuses it as long as one sequence of that request is live, and takes it when all have ended', () => {
    const rig = new EngineRig();
    const [leader, sibling] = rig.submitAll({ prompt: [1, 2, 3], outputTokensMax: 8, sampling: { n: 2 } }, 7);
    rig.step();
    rig.step();
    rig.engine.finish(7, 0, 0);
    expect([leader!.state, sibling!.state]).toEqual(['finished', 'running']);
    expect(() => rig.submit({ prompt: [4, 5, 6] }, 7)).toThrow('a live request id is not submitted again');
    rig.finish();
    const again = rig.submit({ prompt: [4, 5, 6] }, 7);
    rig.finish();
    expect(rig.heardOf(again).ends).toEqual(['length']);
  });
});
