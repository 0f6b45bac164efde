import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { deployedFiles, evaluateAlerts } from '../../../src/observability/alerts/index.ts';
import { hasPrometheus, runTool } from '../../support/prometheus-tools.ts';
import { HISTORY_CASE, historyOfCase } from './history-cases.ts';
import { alertTests, inputSeries } from './promtool-scenarios.ts';
import { INTERVAL_SECONDS } from './written-history.ts';

const CASES = 4;
const ROWS = 100;
const seed = Math.floor(Math.random() * 2 ** 31);

describe.skipIf(!hasPrometheus())(`promtool agrees (seed ${seed})`, () => {
  it('on every alert at every scrape with its labels and texts, where series that end are marked', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'twinfer-promtool-'));
    try {
      writeFileSync(join(folder, 'rules.yml'), deployedFiles().get('rules.yml')!);
      const tests = fc.sample(HISTORY_CASE, { seed, numRuns: CASES }).map((each) => {
        const regular = { ...each, gridSeconds: INTERVAL_SECONDS, strides: Array<number>(ROWS).fill(1) };
        const history = historyOfCase(regular, 0);
        const judged = evaluateAlerts(history);
        expect(judged.intervals.some(({ firingSeconds }) => firingSeconds !== null)).toBe(true);
        const rows = Array.from({ length: ROWS }, (_, row) => row);
        return {
          name: `seed ${each.seed}`,
          interval: `${INTERVAL_SECONDS}s`,
          input_series: inputSeries(history),
          alert_rule_test: alertTests(judged, rows),
        };
      });
      const content = { rule_files: ['rules.yml'], evaluation_interval: `${INTERVAL_SECONDS}s`, tests };
      writeFileSync(join(folder, 'cases.yml'), stringify(content));
      expect(await runTool('promtool', ['test', 'rules', join(folder, 'cases.yml')])).toContain('SUCCESS');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
