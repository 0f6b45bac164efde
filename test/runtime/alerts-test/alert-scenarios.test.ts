import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadScenario } from '../../../src/config/load-scenario.ts';
import { resolveScenario } from '../../../src/config/resolve-scenario.ts';
import { ALERT_RULES } from '../../../src/observability/alerts/index.ts';
import { passes, testAlerts } from '../../../src/runtime/alerts-test/alerts-test.ts';
import { WorldRecord } from '../../../src/runtime/alerts-test/world-record.ts';
import { MetricsObserver } from '../../../src/runtime/metrics-observer.ts';
import { runSimulation } from '../../../src/runtime/run-simulation.ts';

const FOLDER = 'scenarios/alerts';
const SPECS = readdirSync(FOLDER)
  .filter((file) => file !== 'day.yaml')
  .map((file) => ({ file, spec: resolveScenario(loadScenario(join(FOLDER, file))) }));

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
    const observer = MetricsObserver.of(spec);
    const record = new WorldRecord(observer.history.intervalSeconds);
    await runSimulation(spec, { observers: [observer, record] });
    const result = await testAlerts(
      {
        name: spec.scenario,
        history: observer.history,
        expectations: spec.alerts,
        world: { record, faults: spec.faults },
      },
      { prometheus: false, progress: () => {} },
    );
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
