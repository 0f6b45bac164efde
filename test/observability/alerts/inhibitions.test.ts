import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alertmanagerConfig, INHIBITIONS } from '../../../src/observability/alerts/index.ts';
import { hasPrometheus, type RunningTool, startTool } from '../../support/prometheus-tools.ts';
import { eventually } from '../../support/until.ts';

interface HeldAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly status: { readonly state: string; readonly inhibitedBy: readonly string[] };
}

describe.skipIf(!hasPrometheus())('Alertmanager with our inhibitions', () => {
  let folder: string;
  let alertmanager: RunningTool;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'twinfer-alertmanager-'));
    // Nobody listens there; what is told to whom is not the question here.
    writeFileSync(join(folder, 'config.yml'), alertmanagerConfig({ webhookUrl: 'http://127.0.0.1:9/' }));
    alertmanager = await startTool('prometheus-alertmanager', (address) => [
      `--config.file=${join(folder, 'config.yml')}`,
      `--storage.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
      '--cluster.listen-address=',
    ]);
  });
  afterAll(async () => {
    await alertmanager?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('keeps each effect silent while its cause fires on the same instance, and only then', async () => {
    const pairs = INHIBITIONS.flatMap(({ source, targets }) => targets.map((target) => [source, target] as const));
    const labels = (alertname: string, instance: string) => ({ labels: { alertname, instance, job: 'engine' } });
    const sent = pairs.flatMap(([source, target]) => [
      labels(source, `${source} and ${target}`),
      labels(target, `${source} and ${target}`),
      labels(target, `no ${source}, ${target}`),
    ]);
    await fetch(`${alertmanager.url}/api/v2/alerts`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(sent),
    });
    const held = await eventually(async () => {
      const alerts = (await (await fetch(`${alertmanager.url}/api/v2/alerts`)).json()) as HeldAlert[];
      expect(alerts).toHaveLength(sent.length);
      expect(alerts.filter(({ status }) => status.state === 'unprocessed')).toEqual([]);
      return alerts;
    });
    const silent = held.filter(({ status }) => status.inhibitedBy.length > 0).map((each) => each.labels);
    const expected = pairs.map(([source, target]) => labels(target, `${source} and ${target}`).labels);
    const order = (a: { instance?: string }, b: { instance?: string }) => (a.instance! < b.instance! ? -1 : 1);
    expect([...silent].sort(order)).toEqual([...expected].sort(order));
  });
});
