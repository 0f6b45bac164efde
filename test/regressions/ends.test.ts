import { describe, expect, it } from 'vitest';
import type { DraftProposer } from '../../src/core/index.ts';
import { EngineRig } from '../support/engine-rig.ts';
import { ALWAYS_DRAFTS } from '../support/speculation.ts';

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

/** Always three drafts; the test says how many are right. */
const THREE: DraftProposer = {
  propose(_sequence, draftsMax, into, at) {
    into.fill(1, at, at + draftsMax);
    return draftsMax;
  },
};

function drafting(config = {}): EngineRig {
  return new EngineRig({ config: { speculation: ALWAYS_DRAFTS, ...config }, proposer: THREE });
}

describe('ends', () => {
  it('tokens after a stop id are not delivered', () => {
    const rig = drafting();
    const probe = rig.submit({ prompt: numbers(5), outputTokensMax: 8 });
    const text = rig.memory!.output(probe, 8);
    rig.engine.abort(probe.request.id);
    const stop = text[2]!;
    const sequence = rig.submit({ prompt: numbers(5), outputTokensMax: 8, sampling: { stopTokenIds: [stop] } });
    while (sequence.state !== 'finished') {
      rig.begin();
      rig.end({ accept: (_, drafts) => drafts });
    }
    expect(rig.heardOf(sequence).tokens).toEqual(text.slice(0, text.indexOf(stop) + 1));
    expect(rig.heardOf(sequence).ends).toEqual(['stop']);
  });

  it('a stop id before the least output does not end', () => {
    const rig = new EngineRig();
    const probe = rig.submit({ prompt: numbers(5), outputTokensMax: 8 });
    const text = rig.memory!.output(probe, 8);
    const sequence = rig.submit({
      prompt: numbers(5),
      outputTokensMax: 8,
      sampling: { stopTokenIds: [text[0]!], outputTokensMin: 2 },
    });
    rig.step();
    expect(sequence.state).toBe('running');
  });

  it('an abort matches exactly one request id', () => {
    const rig = new EngineRig();
    const one = rig.submit({ prompt: numbers(3) }, 1);
    const eleven = rig.submit({ prompt: numbers(3) }, 11);
    expect(rig.engine.abort(1)).toBe(true);
    expect(rig.engine.abort(1)).toBe(false);
    expect(rig.engine.abort(111)).toBe(false);
    expect([one.state, eleven.state]).toEqual(['finished', 'waiting']);
  });

  it('an abort ends every sequence of its request, and each of them once', () => {
    const rig = new EngineRig();
    const sequences = rig.submitAll({ prompt: numbers(5), outputTokensMax: 9, sampling: { n: 3 } });
    rig.step();
    rig.step();
    rig.engine.finish(sequences[1]!.request.id, 1, 0);
    rig.engine.abort(sequences[0]!.request.id);
    expect(sequences.map((sequence) => rig.heardOf(sequence).ends)).toEqual([['abort'], ['stop'], ['abort']]);
    expect(rig.engine.totals.ended).toBe(3);
  });

  it('a request that takes an id while the step of the aborted one is in flight hears only its own tokens', () => {
    const rig = new EngineRig();
    const gone = rig.submit({ prompt: numbers(5) }, 7);
    rig.begin();
    rig.engine.abort(7);
    const again = rig.submit({ prompt: numbers(6, 50) }, 7);
    rig.end();
    expect(rig.heardOf(gone).tokens).toEqual([]);
    rig.finish();
    expect(rig.heardOf(again).tokens).toEqual(rig.memory!.output(again, 4));
    expect(rig.heardOf(again).ends).toEqual(['length']);
  });

  it('accepted drafts do not make the output longer than allowed', () => {
    const rig = drafting();
    const sequence = rig.submit({ prompt: numbers(5), outputTokensMax: 3 });
    rig.step();
    rig.begin();
    rig.end({ accept: (_, drafts) => drafts });
    expect(rig.heardOf(sequence).tokens).toHaveLength(3);
    expect(rig.heardOf(sequence).ends).toEqual(['length']);
  });

  it('rejected drafts are taken back', () => {
    const rig = drafting();
    const sequence = rig.submit({ prompt: numbers(5), outputTokensMax: 12 });
    rig.step();
    rig.step();
    expect(sequence.computedTokens).toBe(6);
    rig.finish();
    expect(rig.heardOf(sequence).tokens).toEqual(rig.memory!.output(sequence, 12));
  });

  it('a sequence whose token is in flight drafts nothing', () => {
    const rig = drafting({ stepsInFlight: 2 });
    const sequence = rig.submit({ prompt: numbers(5), outputTokensMax: 12 });
    rig.begin();
    rig.end();
    rig.begin();
    expect(rig.begin()).toBeNull();
    rig.finish();
    expect(rig.heardOf(sequence).tokens).toEqual(rig.memory!.output(sequence, 12));
  });

  it('who waits is ended by its deadline', () => {
    const rig = new EngineRig({ config: { sequencesMax: 1 } });
    rig.submit({ prompt: numbers(5), outputTokensMax: 12 });
    const late = rig.submit({ prompt: numbers(5, 50), deadlineNs: 3 });
    for (let i = 0; i < 4; i++) rig.step();
    expect(rig.heardOf(late).ends).toEqual(['timeout']);
    expect(rig.engine.scheduler.waiting.size).toBe(0);
  });

  it('a request that has ended is forgotten', () => {
    const rig = new EngineRig();
    rig.submitAll({ prompt: numbers(5), sampling: { n: 2 } });
    rig.finish();
    expect(rig.engine.requests.size).toBe(0);
    expect(rig.engine.idle).toBe(true);
  });

  it('a draining engine takes no new request and finishes the old ones', () => {
    const rig = new EngineRig();
    const old = rig.submit({ prompt: numbers(5) });
    rig.engine.drain();
    rig.submit({ prompt: numbers(5) });
    rig.finish();
    expect(rig.rejections).toEqual(['draining']);
    expect(rig.heardOf(old).ends).toEqual(['length']);
  });

  it('siblings of a leader that is stopped early are not held for ever', () => {
    const rig = new EngineRig();
    const [leader, fork] = rig.submitAll({ prompt: numbers(5), sampling: { n: 2 } });
    rig.engine.finish(leader!.request.id, 0, 0);
    rig.finish();
    expect(rig.heardOf(fork!).ends).toEqual(['length']);
  });
});
