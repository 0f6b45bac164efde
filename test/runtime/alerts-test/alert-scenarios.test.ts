import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ALERT_RULES } from '../../../src/observability/alerts/index.ts';
import { passes } from '../../../src/runtime/alerts-test/alerts-test.ts';
import { hasPrometheus } from '../../support/prometheus-tools.ts';
import { judgedRun, specOf } from './judged-run.ts';

const FOLDER = 'scenarios/alerts';
const SPECS = readdirSync(FOLDER)
  .filter((file) => file !== 'day.yaml')
  .map((file) => ({ file, spec: specOf(join(FOLDER, file)) }));

const kebab = (name: string) =>
  name
    .replaceAll(/([a-z])([A-Z])/g, '$1-$2')
    .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1-$2')
    .toLowerCase();

describe('scenarios of alerts', () => {
  it('are two for each alert: one where it must fire and one where it nearly does', () => {
    for (const { name } of ALERT_RULES) {
      const fires = SPECS.find(({ file }) => file === `${kebab(name)}.yaml`);
      const nearMiss = SPECS.find(({ file }) => file === `${kebab(name)}-near-miss.yaml`);
      expect(fires?.spec.alerts.mustFire, name).toContain(name);
      expect(nearMiss?.spec.alerts.mustNotFire, name).toContain(name);
    }
    expect(SPECS.length).toBe(2 * ALERT_RULES.length);
  });

  it.each(SPECS)('$file: fires what must fire, and nothing that must not', async ({ file, spec }) => {
    expect(`${spec.scenario}.yaml`).toBe(file);
    const { result } = await judgedRun(spec);
    expect(result.expectations.filter(({ met }) => !met)).toEqual([]);
    expect(passes(result)).toBe(true);
    // What must fire was really so, and was noticed.
    for (const alert of spec.alerts.mustFire) {
      const judgement = result.judgements!.find((one) => one.alert === alert)!;
      if (file.endsWith('-near-miss.yaml') && judgement.violations.length === 0) continue;
      expect(judgement.quality.recall, alert).toBe(1);
    }
  });
});

describe('the day', () => {
  it('has an incident for each alert, which each alert notices; Prometheus says the same, to the sample', async () => {
    const spec = specOf(join(FOLDER, 'day.yaml'));
    expect([...spec.alerts.mustFire].sort()).toEqual(ALERT_RULES.map(({ name }) => name).sort());
    const { outcome, history, result } = await judgedRun(spec, hasPrometheus());
    expect(outcome.run.requests.injected).toBeGreaterThanOrEqual(170_000);
    expect(history.timeSeconds(history.length - 1)).toBeGreaterThanOrEqual(86_400);
    expect(history.intervalSeconds).toBe(15);
    expect(result.expectations.filter(({ met }) => !met)).toEqual([]);
    for (const { alert, quality } of result.judgements!) {
      // How many of them it notices is the run's business; none would be an alert that sleeps, or one that cries wolf.
      expect(quality.recall, alert).toBeGreaterThan(0);
      expect(quality.precision, alert).toBeGreaterThanOrEqual(0.5);
    }
    expect(result.prometheus?.differences ?? []).toEqual([]);
  });
});
