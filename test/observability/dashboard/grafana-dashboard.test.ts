import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { grafanaDashboard } from '../../../src/observability/dashboard/grafana-dashboard.ts';
import { PANELS } from '../../../src/observability/dashboard/panels.ts';
import { TILES } from '../../../src/observability/dashboard/tiles.ts';
import { CATALOGUE, type MetricsHistory } from '../../../src/observability/index.ts';
import { readRecording } from '../../../src/runtime/metrics-recording.ts';
import { openOracle, type PrometheusOracle } from '../../../src/runtime/prometheus-oracle.ts';
import { scratch } from '../../runtime/scenarios.ts';
import { hasPrometheus, runTool } from '../../support/prometheus-tools.ts';
import { readRepositoryFile } from '../../support/repository-files.ts';
import { startTestServer } from '../../support/test-server.ts';
import { dashboardRun } from './dashboard-run.ts';

interface GrafanaPanel {
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const dashboard = JSON.parse(grafanaDashboard()) as { readonly panels: readonly GrafanaPanel[]; readonly uid: string };
const drawn = dashboard.panels.filter(({ type }) => type !== 'row');
/** Made by the evaluation of rules, which a history without a rule file has not. */
const ALERTS = 'Alerts';
const queries = drawn.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr, legendFormat }) => ({ title, legend: legendFormat, expr, query: substituted(expr) })),
);

/** As Grafana does it before it asks. */
function substituted(expression: string): string {
  return expression
    .replaceAll('$__rate_interval', '5m')
    .replaceAll('"$job"', '"engine"')
    .replaceAll('"$instance"', '".+"');
}

describe('the dashboard for Grafana', () => {
  it('is the file in deploy/', () => {
    expect(grafanaDashboard()).toBe(readRepositoryFile('deploy/grafana/twinfer.json'));
  });

  it('has every tile and panel, in rows that do not overlap, each with its description', () => {
    const titles = drawn.map(({ title }) => title);
    expect(titles).toEqual([...TILES.map(({ title }) => title), ALERTS, ...PANELS.map(({ title }) => title)]);
    const cells = new Set<string>();
    for (const { title, gridPos, description } of drawn) {
      expect(description, title).toMatch(/\.$/);
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(cells.has(`${x},${y}`), `${title} at ${x},${y}`).toBe(false);
          cells.add(`${x},${y}`);
        }
      }
    }
  });

  it('asks only for series of the catalogue, of the chosen job and instances', () => {
    const names = new Set(CATALOGUE.map(({ name }) => name as string));
    for (const { expr } of queries) {
      for (const [, series, matchers] of expr.matchAll(/([a-z_]+|ALERTS)\{([^}]*)\}/g)) {
        const metric = series!.replace(/_(?:bucket|sum|count)$/, '');
        expect(names.has(metric) || names.has(series!) || series === 'up' || series === 'ALERTS', series!).toBe(true);
        expect(matchers).toMatch(/^job="\$job", instance=~"\$instance"/);
      }
    }
  });
});

describe.skipIf(!hasPrometheus())('its queries', () => {
  const folder = scratch();

  it('are taken by promtool', async () => {
    const rules = queries.map(({ query }, i) => `      - record: panel:${i}\n        expr: ${JSON.stringify(query)}\n`);
    const file = join(folder, 'panels.yml');
    writeFileSync(file, `groups:\n  - name: panels\n    rules:\n${rules.join('')}`);
    expect(await runTool('promtool', ['check', 'rules', file])).toContain(`SUCCESS: ${queries.length} rules found`);
  });

  const live = new Set(PANELS.filter(({ liveOnly }) => liveOnly === true).map(({ title }) => title));

  describe.each([
    ['a simulated run', () => dashboardRun(5), (title: string) => !live.has(title)],
    ['a recorded server', () => recordedServer(join(folder, 'served.jsonl')), (title: string) => live.has(title)],
  ] as const)('on %s', (_what, history, mine) => {
    let oracle: PrometheusOracle;
    beforeAll(async () => {
      oracle = await openOracle(await history());
    });
    afterAll(async () => {
      await oracle.close();
    });

    it.each(queries.filter(({ title }) => title !== ALERTS && mine(title)))(
      '$title, $legend: has data',
      async ({ query }) => {
        const series = await oracle.queryRange(query);
        expect(series.length).toBeGreaterThan(0);
        expect(series.some(({ values }) => values.some((value) => Number.isFinite(value)))).toBe(true);
      },
    );
  });
});

/** What a server records of some traffic, once a second. */
async function recordedServer(file: string): Promise<MetricsHistory> {
  const server = await startTestServer({ record: { file, intervalSeconds: 1, bytesMax: 2 ** 30 } });
  try {
    // A line of names, and one a second.
    while (readFileSync(file, 'utf8').split('\n').length < 8) {
      const response = await fetch(`${server.url}/v1/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'twin', prompt: 'a question', max_tokens: 20, stream: true }),
      });
      await response.text();
    }
  } finally {
    await server.close();
  }
  return readRecording(file);
}
