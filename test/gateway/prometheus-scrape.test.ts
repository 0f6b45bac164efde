import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ALERT_RULES,
  alertmanagerConfig,
  prometheusConfig,
  RULES_INTERVAL_SECONDS,
  RULES_NAME,
  rulesFile,
  runbookUrl,
} from '../../src/observability/alerts/index.ts';
import { post } from '../support/http-calls.ts';
import { hasPrometheus, prometheusApi, type RunningTool, startTool } from '../support/prometheus-tools.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';
import { eventually } from '../support/until.ts';

/** 5 minutes become 6 seconds, a scrape every 300 ms. */
const TIME_FACTOR = 0.02;
const FAULT_SECONDS = 3600;

interface Notification {
  readonly alerts: readonly {
    readonly status: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

describe.skipIf(!hasPrometheus())('a server that Prometheus scrapes', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ timeScale: 1, vllmAliases: false });
  });
  afterAll(() => server?.close());

  it('has metrics that promtool finds nothing wrong with, but for one name that the specification gives', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const { stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    const lints = `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
    expect(lints).toEqual(['kv_cache_blocks_total non-counter metrics should not have "_total" suffix']);
  });

  it('whose faults reach a webhook through Alertmanager: a GPU that fails, first tokens that come late', async () => {
    const site = await Site.start(server);
    const load = new Load(server);
    try {
      await eventually(async () => {
        const { result } = await prometheusApi<{ result: unknown[] }>(site.prometheusUrl, 'query', {
          query: 'rate(time_to_first_token_seconds_count{job="engine"}[6s]) > 0',
        });
        expect(result).toHaveLength(1);
      });
      expect(site.firing()).not.toContain('GPUFailure');

      await server.admin('/admin/faults', { kind: 'unhealthy', seconds: FAULT_SECONDS });
      await server.admin('/admin/faults', { kind: 'slow', factor: 100, seconds: FAULT_SECONDS });
      await eventually(() => {
        expect(site.firing()).toEqual(expect.arrayContaining(['GPUFailure', 'HighTTFT']));
      });
      const failure = site.alerts().find(({ labels }) => labels['alertname'] === 'GPUFailure')!;
      const instance = new URL(server.url).host;
      expect(failure.labels).toEqual({
        alertname: 'GPUFailure',
        gpu_id: '0',
        job: 'engine',
        instance,
        severity: 'critical',
      });
      expect(failure.annotations).toMatchObject({
        description: 'GPU 0 is unhealthy',
        runbook_url: runbookUrl('GPUFailure'),
      });
      // The server's own rules know it as well, in their own time.
      await eventually(async () => {
        const headers = { authorization: `Bearer ${server.adminKey}` };
        const response = await fetch(`${server.url}/debug/alerts`, { headers });
        expect(await response.json()).toMatchObject({
          alerts: expect.arrayContaining([
            expect.objectContaining({
              alert: 'GPUFailure',
              labels: { gpu_id: '0', job: 'engine', instance: 'twinfer' },
            }),
          ]),
        });
      });
    } finally {
      await load.stop();
      await site.stop();
    }
  });

  it('tells what is wrong with it to admins only', async () => {
    const answers = await Promise.all(
      [{}, { authorization: `Bearer ${server.key}` }].map((headers) =>
        fetch(`${server.url}/debug/alerts`, { headers }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([401, 403]);
  });
});

/** Prometheus and Alertmanager with our files, sped up, and somebody who is told. */
class Site {
  readonly prometheusUrl: string;
  private readonly prometheus: RunningTool;
  private readonly alertmanager: RunningTool;
  private readonly webhook: Webhook;
  private readonly folder: string;

  private constructor(prometheus: RunningTool, alertmanager: RunningTool, webhook: Webhook, folder: string) {
    this.prometheusUrl = prometheus.url;
    this.prometheus = prometheus;
    this.alertmanager = alertmanager;
    this.webhook = webhook;
    this.folder = folder;
  }

  static async start(server: TestServer): Promise<Site> {
    const folder = mkdtempSync(join(tmpdir(), 'twinfer-site-'));
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const webhook = await Webhook.start();
    const notify = file('alertmanager.yml', alertmanagerConfig({ webhookUrl: webhook.url, groupWaitSeconds: 0 }));
    const alertmanager = await startTool('prometheus-alertmanager', (address) => [
      `--config.file=${notify}`,
      `--storage.path=${join(folder, 'alertmanager')}`,
      `--web.listen-address=${address}`,
      '--cluster.listen-address=',
    ]);
    file('rules.yml', rulesFile(ALERT_RULES, { name: RULES_NAME, timeFactor: TIME_FACTOR }));
    const config = prometheusConfig({
      targets: [new URL(server.url).host],
      alertmanagers: [new URL(alertmanager.url).host],
      ruleFiles: ['rules.yml'],
      intervalSeconds: RULES_INTERVAL_SECONDS * TIME_FACTOR,
    });
    const scrape = file('prometheus.yml', config);
    const prometheus = await startTool('prometheus', (address) => [
      `--config.file=${scrape}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ]);
    return new Site(prometheus, alertmanager, webhook, folder);
  }

  alerts() {
    return this.webhook.notifications.flatMap(({ alerts }) => alerts);
  }

  firing(): string[] {
    return this.alerts()
      .filter(({ status }) => status === 'firing')
      .map(({ labels }) => labels['alertname']!);
  }

  async stop(): Promise<void> {
    await Promise.all([this.prometheus.stop(), this.alertmanager.stop(), this.webhook.stop()]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Receives what Alertmanager sends. */
class Webhook {
  readonly notifications: Notification[] = [];
  private readonly server: Server;

  private constructor() {
    this.server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      this.notifications.push(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Notification);
      response.end();
    });
  }

  static async start(): Promise<Webhook> {
    const webhook = new Webhook();
    await new Promise<void>((resolve) => webhook.server.listen(0, '127.0.0.1', resolve));
    return webhook;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  stop(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(() => resolve()));
  }
}

/** A few clients that ask one after another, until it is over. */
class Load {
  private over = false;
  private readonly clients: readonly Promise<void>[];

  constructor(server: TestServer) {
    this.clients = Array.from({ length: 4 }, async () => {
      while (!this.over) await (await post(server, { model: 'twin', prompt: 'hello', max_tokens: 2 })).text();
    });
  }

  async stop(): Promise<void> {
    this.over = true;
    await Promise.all(this.clients);
  }
}
