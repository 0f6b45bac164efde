import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer, type TestServerOverrides } from '../support/test-server.ts';
import { eventually } from '../support/until.ts';

let server: TestServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

async function start(overrides: TestServerOverrides = {}): Promise<TestServer> {
  server = await startTestServer(overrides);
  return server;
}

interface Frame {
  readonly t: number;
  readonly v: readonly (number | null)[];
}

/** A stream of the dashboard, read as it comes. */
class Viewer {
  readonly events: { readonly name: string; readonly data: unknown }[] = [];
  ended = false;
  private readonly stop = new AbortController();

  static async open(url: string): Promise<Viewer> {
    const viewer = new Viewer();
    const response = await fetch(`${url}/dashboard/stream`, { signal: viewer.stop.signal });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    void viewer.read(response.body!);
    return viewer;
  }

  of(name: string): readonly unknown[] {
    return this.events.filter((event) => event.name === name).map(({ data }) => data);
  }

  close(): void {
    this.stop.abort();
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = '';
    try {
      for await (const chunk of body) {
        text += Buffer.from(chunk).toString('utf8');
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
          this.events.push({ name: name!, data: JSON.parse(data!) });
          text = text.slice(end + 2);
        }
      }
    } catch {
      // The test has closed it.
    }
    this.ended = true;
  }
}

describe('GET /dashboard', () => {
  it('is open like /metrics, whole, and allows its own scripts and styles by hash alone', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/dashboard`);
    const html = await response.text();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    const policy = response.headers.get('content-security-policy')!;
    expect(policy).toMatch(/^default-src 'none'; .*connect-src 'self'; .*frame-ancestors 'none'$/);
    expect(policy).not.toMatch(/unsafe|https?:/);
    expect(html).toContain(`content="${policy.replace("; frame-ancestors 'none'", '')}"`);
    const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    for (const [, script] of html.matchAll(/<script>([\s\S]*?)<\/script>/g)) expect(policy).toContain(hash(script!));
    for (const [, style] of html.matchAll(/<style>([\s\S]*?)<\/style>/g)) expect(policy).toContain(hash(style!));
    expect(html).not.toMatch(/ style="|<script src|<link rel="stylesheet"/);
    expect(html.length).toBeLessThan(150_000);
    const plain = await fetch(`${url}/dashboard`, { headers: { 'accept-encoding': 'identity' } });
    expect([plain.headers.get('content-encoding'), await plain.text()]).toEqual([null, html]);
  });
});

describe('GET /dashboard/stream', () => {
  it('gives what there is, then each second; who comes late gets the same history', async () => {
    const { url } = await start();
    const first = await Viewer.open(url);
    await eventually(() => expect(first.of('frame').length).toBeGreaterThanOrEqual(2));
    const late = await Viewer.open(url);
    await eventually(() => expect(late.of('frame').length).toBeGreaterThanOrEqual(1));
    const seen = [...(first.of('init')[0] as Frame[]), ...(first.of('frame') as Frame[])].map(({ t }) => t);
    const history = (late.of('init')[0] as Frame[]).map(({ t }) => t);
    expect(history.length).toBeGreaterThanOrEqual(2);
    expect(seen.slice(0, history.length)).toEqual(history);
    expect(late.of('alerts')).toHaveLength(1);
    first.close();
    late.close();
  });

  it('refuses viewers beyond 32, and takes one again when another has left', async () => {
    const { url } = await start();
    const viewers = await Promise.all(Array.from({ length: 32 }, () => Viewer.open(url)));
    const refused = await fetch(`${url}/dashboard/stream`);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: { code: 'dashboards_full' } });
    viewers[0]!.close();
    await eventually(async () => {
      const again = await fetch(`${url}/dashboard/stream`);
      expect(again.status).toBe(200);
      await again.body!.cancel();
    });
    for (const viewer of viewers) viewer.close();
  });

  it('goes on while the engine hangs, and shows it', async () => {
    const { url, key, serving } = await start({ timeScale: 1, watchdog: { stallMs: 200 } });
    const viewer = await Viewer.open(url);
    void serving.link.admin({ call: 'hang' }).catch(() => {});
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ model: 'twin', prompt: 'hello', max_tokens: 5 });
    void fetch(`${url}/v1/completions`, { method: 'POST', headers, body }).catch(() => {});
    // The first value of a frame: whether the engine is up.
    await eventually(() => expect((viewer.of('frame').at(-1) as Frame).v[0]).toBe(0));
    viewer.close();
  });

  it('ends when the server goes down, without keeping it up', async () => {
    const at = await start();
    const viewer = await Viewer.open(at.url);
    await at.close();
    server = null;
    await eventually(() => expect(viewer.ended).toBe(true));
  });
});
