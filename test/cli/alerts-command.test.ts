import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ALERT_RULES, deployedFiles, SLO_RULES } from '../../src/observability/alerts/index.ts';
import { capturedCli } from './captured-cli.ts';

async function output(...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await capturedCli(['alerts', ...argv]);
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

/** Without the note on how the file is made. */
function deployed(name: string): string {
  return deployedFiles()
    .get(name)!
    .replace(/^#.*\n/, '');
}

describe('twinfer alerts', () => {
  it.each(['list', 'rules', 'alertmanager', 'prometheus'])('%s --help shows examples', async (command) => {
    expect(await output(command, '--help')).toContain(`Examples:\n  $ twinfer alerts ${command}`);
  });

  it('lists every alert with what it fires on', async () => {
    const rows = JSON.parse(await output('list', '--json')) as { alert: string; expr: string; thresholds: number[] }[];
    expect(rows.map((row) => row.alert)).toEqual([...ALERT_RULES, ...SLO_RULES].map((rule) => rule.name));
    expect(rows.find((row) => row.alert === 'QueueBacklog')).toEqual({
      alert: 'QueueBacklog',
      severity: 'warning',
      expr: 'scheduler_waiting_queue_size{job="engine"} > 100',
      for_seconds: 60,
      thresholds: [100],
      summary: 'Requests queue up',
      runbook: 'OPERATIONS.md#queuebacklog',
    });
    const table = await output('list');
    for (const { name } of ALERT_RULES) expect(table).toContain(`│ ${name} `);
  });

  it('prints the files that deploy/prometheus/ holds', async () => {
    expect(await output('rules')).toBe(deployed('rules.yml'));
    expect(await output('rules', '--slo')).toBe(deployed('slo.rules.yml'));
    expect(await output('alertmanager')).toBe(deployed('alertmanager.yml'));
    expect(await output('prometheus')).toBe(deployed('prometheus.yml'));
  });

  it('prints them for other jobs, runbooks, servers, receivers, and sped up', async () => {
    const text = await output('rules', '--job', 'llm', '--runbook-base', 'https://r.example/b', '--time-factor', '0.1');
    const { groups } = parse(text) as {
      groups: { interval: string; rules: { for: string; expr: string; annotations: { runbook_url: string } }[] }[];
    };
    expect(groups[0]!.interval).toBe('1s500ms');
    expect(groups[0]!.rules[0]).toMatchObject({
      expr: 'histogram_quantile(0.99, sum by (job, instance, le) (rate(time_to_first_token_seconds_bucket{job="llm"}[30s]))) > 0.5',
      for: '30s',
      annotations: { runbook_url: 'https://r.example/b#highttft' },
    });
    expect(await output('alertmanager', '--webhook', 'https://hooks.example/x')).toContain(
      'url: https://hooks.example/x',
    );
    const prometheus = parse(await output('prometheus', '--target', 'a:1', 'b:2')) as {
      scrape_configs: { static_configs: { targets: string[] }[] }[];
    };
    expect(prometheus.scrape_configs[0]!.static_configs[0]!.targets).toEqual(['a:1', 'b:2']);
  });

  it.each([
    [['rules', '--time-factor', '0'], '--time-factor: "0" is not allowed; allowed: a number in [0.001, 1000]'],
    [['alertmanager', '--webhook', 'hook'], '--webhook: "hook" is not allowed; allowed: a URL with http or https'],
    [['nothing'], "unknown command 'nothing'"],
  ])('%s is refused', async (argv, message) => {
    const { code, stdout, stderr } = await capturedCli(['alerts', ...argv]);
    expect([code, stdout, stderr]).toEqual([2, '', `${message}\n`]);
  });
});
