import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { EngineHostProfile, PredictedMetric } from '../../src/backends/simulated/index.ts';
import { closedLoopMeasurements } from '../../src/calibration/closed-loop-measurement.ts';
import { validateLoops } from '../../src/calibration/closed-loop-validation.ts';
import { quantile } from '../../src/calibration/residuals.ts';
import { bundledDeviceProfile } from '../../src/runtime/device-profile-file.ts';
import { bundledHostProfile, readHostProfile } from '../../src/runtime/host-profile-file.ts';
import { validateServing } from '../../src/runtime/validate-serving.ts';
import { predictionHalfWidth } from '../../src/simulation/prediction-intervals.ts';

const DATA = process.env['TWINFER_DATA'];
const host = bundledHostProfile();
const { residuals } = host;

function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

describe('the bundled host profile: errors of models that the fit had not seen', () => {
  it.each([
    ['e2eMean', 0.02],
    ['ttftMean', 0.025],
    ['tpotMean', 0.02],
    ['ttftP90', 0.025],
    ['e2eP99', 0.04],
  ] as const)('%s: median within %d', (metric, limit) => {
    expect(residuals.length).toBeGreaterThanOrEqual(50);
    expect(median(residuals.map(({ errors }) => Math.abs(errors[metric]!)))).toBeLessThanOrEqual(limit);
  });

  it.each([
    ['warm', false, 0.06],
    ['with first-time prompts', true, 0.18],
  ])('TTFT p99 of stages %s: median within their bound', (_, cold, limit) => {
    const stages = residuals.filter((each) => each.cold === cold);
    expect(stages.length).toBeGreaterThan(20);
    expect(median(stages.map(({ errors }) => Math.abs(errors.ttftP99!)))).toBeLessThanOrEqual(limit);
  });

  it('E2E of every model: median within 5 %', () => {
    const models = [...new Set(residuals.map(({ model }) => model))];
    expect(models.length).toBeGreaterThanOrEqual(9);
    for (const model of models) {
      const own = residuals.filter((each) => each.model === model);
      expect(median(own.map(({ errors }) => Math.abs(errors.e2eMean!))), model).toBeLessThanOrEqual(0.05);
    }
  });

  it.each([
    ['e2eMean', 0.06],
    ['ttftMean', 0.12],
    ['tpotMean', 0.06],
  ] as const)(
    'intervals of %s from other models cover 85 to 95 %% and are within %d wide each way',
    (metric, limit) => {
      const widths = residuals.map((each) => halfWidth(each, metric));
      const covered = residuals.filter(
        (each, i) => Math.abs(Math.log1p(each.errors[metric]!)) <= Math.log1p(widths[i]!),
      );
      expect(covered.length / residuals.length).toBeGreaterThanOrEqual(0.85);
      expect(covered.length / residuals.length).toBeLessThanOrEqual(0.95);
      expect(median(widths)).toBeLessThanOrEqual(limit);
    },
  );
});

function halfWidth(of: (typeof residuals)[number], metric: PredictedMetric): number {
  const others = residuals.filter(({ model }) => model !== of.model);
  return predictionHalfWidth(others, of, metric)!;
}

describe.skipIf(DATA === undefined)('measured servers (needs TWINFER_DATA)', () => {
  const file = (name: string) => join(DATA ?? '', 'ground-truth', name);

  it('open loops: means within the noise between repeats, overloaded stages saturated', () => {
    const names = ['open-loop', 'open-loop-more-models', 'percentiles'];
    const files = names.map((name) => file(`vllm-0.15-${name}.csv`));
    const { stages, summary } = validateServing({ files, host, seed: 1, leaveOneModelOut: false });
    expect(summary.e2eMean.medianAbsError).toBeLessThan(0.015);
    expect(summary.tpotMean.medianAbsError).toBeLessThan(0.015);
    expect(summary.ttftMean.medianAbsError).toBeLessThan(0.025);
    expect(summary.ttftP99Warm.medianAbsError).toBeLessThan(0.06);
    const saturated = stages.filter(({ status }) => status === 'saturated');
    expect(saturated.map(({ workload, ratePerSecond }) => `${workload} ${ratePerSecond}`)).toEqual([
      'reasoning 4',
      'reasoning 4',
      'reasoning 4',
    ]);
    // Measured there: queues of a minute and more.
    expect(stages.filter(({ measuredMs }) => measuredMs.ttftMean > 10_000)).toHaveLength(3);
  });

  it('the fit: the command gives the bundled profile again, to what last bits of logarithms move', async () => {
    const output = join(mkdtempSync(join(tmpdir(), 'fit-')), 'host.json');
    const files = ['open-loop', 'open-loop-more-models', 'percentiles'].map((name) => file(`vllm-0.15-${name}.csv`));
    const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
    const wanted = ['--engine', host.engine, '--date', host.createdOn, '--output', output];
    // A process of its own: the test runner's modules make it three times slower.
    await promisify(execFile)(process.execPath, ['--import', 'tsx', main, 'calibrate-host', ...files, ...wanted]);
    const made = readHostProfile(output);
    expect(made.sources).toEqual(host.sources);
    const numbers = ({ scale, ...others }: EngineHostProfile) =>
      Object.entries({ ...others, ...scale }).filter(
        (entry): entry is [string, number] => typeof entry[1] === 'number',
      );
    const bundled = new Map(numbers(host));
    for (const [name, value] of numbers(made)) {
      expect(Math.abs(value - bundled.get(name)!), name).toBeLessThanOrEqual(0.02 * bundled.get(name)!);
    }
    expect(made.residuals.map(({ model, load }) => `${model} ${load}`)).toEqual(
      residuals.map(({ model, load }) => `${model} ${load}`),
    );
  });

  it('closed loops of vLLM, none of them in the fit: TPOT within 6 %', () => {
    const text = readFileSync(file('closed-loop-h100.csv'), 'utf8');
    const rows = closedLoopMeasurements('closed-loop-h100.csv', text).filter(({ backend }) => backend === 'vllm');
    const vllm = validateLoops(rows, bundledDeviceProfile('H100-SXM-80GB')!, host);
    expect(vllm).toHaveLength(64);
    expect(median(vllm.map(({ tpotMeanError }) => Math.abs(tpotMeanError!)))).toBeLessThan(0.06);
  });
});
