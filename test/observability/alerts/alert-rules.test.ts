import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import {
  ALERT_RULES,
  deployedFiles,
  evaluateAlerts,
  INHIBITIONS,
  SLO_RULES,
  thresholdsOf,
} from '../../../src/observability/alerts/index.ts';
import { CATALOGUE } from '../../../src/observability/index.ts';
import { hasPrometheus, runTool } from '../../support/prometheus-tools.ts';
import { readRepositoryFile } from '../../support/repository-files.ts';
import { alertTests, inputSeries } from './promtool-scenarios.ts';
import { RULE_SCENARIOS, type RuleScenario } from './rule-scenarios.ts';
import { INTERVAL_SECONDS, writtenHistory } from './written-history.ts';

const NAMES = ALERT_RULES.map((rule) => rule.name);

function judgedScenario({ rows, write, down }: RuleScenario) {
  const history = writtenHistory(rows, write, down);
  return { history, judged: evaluateAlerts(history) };
}

describe('the rules', () => {
  it.each(RULE_SCENARIOS.map((each) => [each.alert, each.story, each] as const))('%s: %s', (_, __, scenario) => {
    const { judged } = judgedScenario(scenario);
    const fired = judged.intervals.find(
      ({ alert, firingSeconds }) => alert === scenario.alert && firingSeconds !== null,
    );
    expect(fired?.firingSeconds ?? null).toBe(scenario.firesSeconds);
  });

  it('have a story in which each fires, and one in which it just does not', () => {
    const firing = new Set(RULE_SCENARIOS.filter((each) => each.firesSeconds !== null).map((each) => each.alert));
    const quiet = new Set(RULE_SCENARIOS.filter((each) => each.firesSeconds === null).map((each) => each.alert));
    expect([...firing].sort()).toEqual([...NAMES].sort());
    expect([...quiet].sort()).toEqual([...NAMES].sort());
  });

  it.each([
    ['20 % of the first tokens are late', 200, { TTFTBudgetBurnsFast: 135, TTFTBudgetBurnsSlowly: 3615 }],
    ['5 % are: the budget lasts for days', 50, { TTFTBudgetBurnsSlowly: 3615 }],
    ['0.9 % are: within the budget', 9, {}],
  ])('of the TTFT objective: %s', (_, late, expected) => {
    const history = writtenHistory(260, (page) => {
      const histogram = page.histogram('time_to_first_token_seconds');
      histogram.observe(0.6, late);
      histogram.observe(0.1, 1000 - late);
    });
    const fired = evaluateAlerts(history, SLO_RULES).intervals.filter((each) => each.firingSeconds !== null);
    expect(Object.fromEntries(fired.map((each) => [each.alert, each.firingSeconds]))).toEqual(expected);
  });

  it('have names of their own, and keep only existing ones silent', () => {
    const all = [...ALERT_RULES, ...SLO_RULES].map((rule) => rule.name);
    expect(new Set(all).size).toBe(all.length);
    for (const { source, targets } of INHIBITIONS) expect(NAMES).toEqual(expect.arrayContaining([source, ...targets]));
  });

  it('have the thresholds at which the catalogue draws its lines', () => {
    const limits = new Set(ALERT_RULES.flatMap(thresholdsOf));
    const drawn = CATALOGUE.flatMap((metric) => (metric.thresholds ?? []).map((each) => [metric.name, each] as const))
      .filter(([name, { kind, value }]) => kind !== 'target' && value > 0 && !UNALERTED.has(name))
      .map(([name, { value }]) => [name, value] as const);
    expect(drawn.filter(([, value]) => !limits.has(value))).toEqual([]);
  });

  it('are what deploy/prometheus/ holds: npx tsx src/runtime/write-alert-rules.ts', () => {
    for (const [name, text] of deployedFiles())
      expect(readRepositoryFile(`deploy/prometheus/${name}`), name).toBe(text);
  });
});

/** Lines on the dashboard that nobody is told about: a phase over 1 ms is logged, health below 1 is `== 0`. */
const UNALERTED = new Set(['scheduler_phase_latency_seconds', 'gpu_health_status']);

describe.skipIf(!hasPrometheus())('promtool and amtool', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'twinfer-rules-'));
    for (const [name, text] of deployedFiles()) writeFileSync(join(folder, name), text);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string) => join(folder, name);

  it('find nothing wrong with the files', async () => {
    const rules = ['check', 'rules', '--lint=all', '--lint-fatal', file('rules.yml'), file('slo.rules.yml')];
    expect(await runTool('promtool', rules)).toMatch(/SUCCESS: 19 rules found[\s\S]*SUCCESS: 2 rules found/);
    expect(await runTool('promtool', ['check', 'config', file('prometheus.yml')])).toContain('is valid');
    expect(await runTool('amtool', ['check-config', file('alertmanager.yml')])).toContain('6 inhibit rules');
  });

  it('say the same about every story: what fires, with which labels and texts', async () => {
    const tests = RULE_SCENARIOS.map((scenario) => {
      const { history, judged } = judgedScenario(scenario);
      const turns = scenario.firesSeconds === null ? [] : [scenario.firesSeconds / INTERVAL_SECONDS];
      const rows = new Set([...turns.flatMap((row) => [Math.max(0, row - 1), row]), scenario.rows - 1]);
      return {
        name: `${scenario.alert}: ${scenario.story}`,
        interval: `${INTERVAL_SECONDS}s`,
        input_series: inputSeries(history),
        alert_rule_test: alertTests(judged, [...rows]),
      };
    });
    const content = { rule_files: ['rules.yml'], evaluation_interval: `${INTERVAL_SECONDS}s`, tests };
    writeFileSync(file('scenarios.yml'), stringify(content));
    expect(await runTool('promtool', ['test', 'rules', file('scenarios.yml')])).toContain('SUCCESS');
  });
});
