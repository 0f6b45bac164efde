import { describe, expect, it } from 'vitest';
import { assembleEngine, type EngineTime, openBackend } from '../../src/backends/open-backend.ts';
import { ArrayTokens, engineConfig, type FinishReason, Request } from '../../src/core/index.ts';

const config = engineConfig('twinfer', {
  blockSize: 4,
  blocksTotal: 32,
  sequencesMax: 4,
  tokensPerStepMax: 32,
  modelLenMax: 64,
  stepsInFlight: 1,
});
const spec = {
  kind: 'module',
  url: new URL('../support/constant-backend.ts', import.meta.url).href,
  options: { token: 7, stepNs: 1000 },
} as const;
const load = (url: string): Promise<unknown> => import(url);

/** A wall clock that moves on by itself whenever it is read. */
function wall(): EngineTime {
  let ns = 5e9;
  return { kind: 'wall', nowNs: () => (ns += 100), scale: 1, late: () => {} };
}

describe('a backend by its module', () => {
  it.each([
    ['virtual time', (): EngineTime => ({ kind: 'virtual' })],
    ["the machine's time", wall],
  ])('runs an engine in %s', async (_what, time) => {
    const opened = await openBackend(spec, { config, time: time(), load });
    const engine = assembleEngine(opened, { config, listeners: [] });
    const tokens: number[] = [];
    const ends: FinishReason[] = [];
    const prompt = new ArrayTokens(Int32Array.of(1, 2, 3, 4, 5));
    opened.clock.runNow({
      run: (nowNs) => {
        engine.submit(new Request(1, nowNs, { prompt, outputTokensMax: 3 }), {
          tokens: (sequence, from, count) => tokens.push(...sequence.output!.subarray(from, from + count)),
          finished: (_sequence, reason) => ends.push(reason),
        });
      },
    });
    while (opened.clock.untilNextNs() < Number.POSITIVE_INFINITY) opened.clock.runDue();
    expect(tokens).toEqual([7, 7, 7]);
    expect(ends).toEqual(['length']);
    engine.check(opened.clock.nowNs());
  });

  it('is refused where the module makes no backend', async () => {
    const url = new URL('../support/until.ts', import.meta.url).href;
    const opening = openBackend({ ...spec, url }, { config, time: { kind: 'virtual' }, load });
    await expect(opening).rejects.toThrow(/backend\.url.*a module that exports createBackend/);
  });
});
