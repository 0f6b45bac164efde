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

describe('Engine.apply', () => {
  it('refuses a submission that ends before an older one', () => {
    const rig = new EngineRig({ config: { stepsInFlight: 2 } });
    rig.submit({ prompt: [1, 2, 3], outputTokensMax: 9 });
    rig.begin();
    rig.begin();
    const { plan, result } = rig.backend.out[1]!;
    expect(() => rig.engine.apply(plan, result)).toThrow('submissions end in the order in which they were made');
  });

  it('tells a sink each token once, in order, and the end once, after the last of them', () => {
    const rig = new EngineRig({ config: { blocksTotal: 6, stepsInFlight: 2, capacity: 'as-needed' } });
    const heard: string[] = [];
    const sequences = [4, 3].map((id) => rig.submit({ prompt: [id, 2, 3, 4, 5, 6], outputTokensMax: 12 }, id));
    for (const { sink, request } of sequences) {
      const { tokens, finished } = sink;
      sink.tokens = (sequence, from, count) => {
        for (let i = from; i < from + count; i++) heard.push(`${request.id}: ${i}`);
        tokens.call(sink, sequence, from, count);
      };
      sink.finished = (sequence, reason) => {
        heard.push(`${request.id}: ${reason}`);
        finished.call(sink, sequence, reason);
      };
    }
    rig.finish();
    expect(rig.preemptions.length).toBeGreaterThan(0);
    for (const id of [4, 3]) {
      const own = Array.from({ length: 12 }, (_, i) => `${id}: ${i}`);
      expect(heard.filter((line) => line.startsWith(`${id}:`))).toEqual([...own, `${id}: length`]);
    }
  });
});
