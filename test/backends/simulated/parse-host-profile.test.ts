import { describe, expect, it } from 'vitest';
import { parseHostProfile } from '../../../src/backends/simulated/parse-host-profile.ts';
import { bundledHostProfile } from '../../../src/runtime/host-profile-file.ts';

const RESIDUAL = {
  model: 'somebody/a-model',
  load: 0.4,
  cold: false,
  tensorParallel: 2,
  family: 'experts',
  weightFormat: 'fp8',
  extrapolations: 1,
  errors: { ttftMean: 0.03, throughput: -0.01 },
};

describe('parseHostProfile', () => {
  const parse = (changes: object) => parseHostProfile('host.json', { ...bundledHostProfile(), ...changes });

  it('takes residuals of held-out models, with the figures that were measured', () => {
    expect(parse({ residuals: [RESIDUAL] }).residuals).toEqual([RESIDUAL]);
  });

  it.each([
    [{ residuals: null }, 'host.json: residuals: a list is needed; it may be empty'],
    [
      { residuals: [{ ...RESIDUAL, load: -1 }] },
      'host.json: residuals[0].load: -1 is not allowed; a number of at least 0',
    ],
    [
      { residuals: [RESIDUAL, { ...RESIDUAL, family: 'hybrid' }] },
      'host.json: residuals[1].family: "hybrid" is not allowed; one of "dense", "experts"',
    ],
    [
      { residuals: [{ ...RESIDUAL, errors: { ttftMean: -1 } }] },
      'host.json: residuals[0].errors.ttftMean: -1 is not allowed; predicted / measured - 1, a number above -1',
    ],
    [{ perStep: 1 }, 'host.json: perStep: unknown field'],
    [
      { slowFirstTokens: { share: 1.5, nsMax: 0 } },
      'host.json: slowFirstTokens.share: 1.5 is not allowed; a share from 0 to 1',
    ],
    [{ slowFirstTokens: { share: 0.1 } }, 'host.json: slowFirstTokens.nsMax: undefined is not allowed'],
    [{ expertCompileNs: -1 }, 'host.json: expertCompileNs: -1 is not allowed; a number of at least 0'],
  ])('refuses %j by field and value', (changes, message) => {
    expect(() => parse(changes)).toThrow(message);
  });

  it('names the figures that an interval can be of', () => {
    const wrong = { ...RESIDUAL, errors: { latency: 0.1 } };
    expect(() => parse({ residuals: [wrong] })).toThrow(
      /residuals\[0\]\.errors: "latency" is not allowed; one of "ttftMean"/,
    );
  });
});
