import { describe, expect, it } from 'vitest';
import { StallingTimingModel } from '../../../src/backends/simulated/stalling-timing.ts';
import type { StepLoad, TimingModel } from '../../../src/backends/simulated/timing-model.ts';

const STEP_NS = 1000;
const COMPILE_NS = 500_000;
const INNER: TimingModel = { stepNs: () => STEP_NS, stepBytes: () => 0, swapNs: () => 0, copyNs: () => 0 };
/** Mixtral: with two of eight experts a token, rows are a multiple of 16 at every eighth token, and so are the padded ones, four tokens beside. */
const EIGHT = { count: 8, perToken: 2, intermediateSize: 14336 };

function server(experts = EIGHT, change = {}) {
  const options = { experts, captureTokens: 256, tokensPerStepMax: 2048, compileNs: COMPILE_NS, ...change };
  const model = new StallingTimingModel(INNER, options);
  return (tokens: number): boolean => {
    const load: StepLoad = {
      prefillRows: 1,
      prefillTokens: tokens,
      prefillContextTokens: 0,
      prefillAttentionPairs: tokens,
      decodeRows: 0,
      decodeTokens: 0,
      sampledRows: 1,
    };
    return model.stepNs(load, 0) === STEP_NS + COMPILE_NS;
  };
}

describe('StallingTimingModel', () => {
  it('never compiles for what captured graphs replay', () => {
    const compiles = server();
    expect([1, 8, 37, 128, 200, 256].filter(compiles)).toEqual([]);
  });

  it('compiles once for each tuned size, and again where the rows or the padded rows become a multiple of 16', () => {
    const compiles = server();
    expect([501, 502, 510, 503].map(compiles)).toEqual([true, false, false, false]);
    expect([504, 512, 520].map(compiles), 'rows a multiple of 16').toEqual([true, false, false]);
    expect([508, 516].map(compiles), 'padded rows a multiple of 16').toEqual([true, false]);
    expect([1001, 901].map(compiles), 'the next tuned size').toEqual([true, false]);
  });

  it('knows two variants of a size where the padding is a multiple of 16 itself', () => {
    const compiles = server({ count: 16, perToken: 1, intermediateSize: 8192 });
    const sizes = Array.from({ length: 64 }, (_, i) => 480 + i);
    expect(sizes.filter(compiles)).toEqual([480, 481]);
  });

  it('has compiled for the largest step when it starts', () => {
    expect([2048, 2040].map(server())).toEqual([false, false]);
    expect(server(EIGHT, { tokensPerStepMax: 8192 })(2048)).toBe(true);
  });

  it('is cold again in another server', () => {
    expect([501, 501].map((tokens) => server()(tokens))).toEqual([true, true]);
  });
});
