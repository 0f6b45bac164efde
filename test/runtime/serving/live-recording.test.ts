import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createMetricsPage, type MetricsPage } from '../../../src/observability/index.ts';
import { readRecording } from '../../../src/runtime/metrics-recording.ts';
import { LiveRecording, type LiveRecordingOptions } from '../../../src/runtime/serving/live-recording.ts';
import { startTestServer } from '../../support/test-server.ts';
import { scratch } from '../scenarios.ts';

const folder = scratch();
const opened: LiveRecording[] = [];

afterEach(async () => {
  for (const recording of opened.splice(0)) await recording.close(1e9);
});

function waiting(page: MetricsPage): number {
  return page.cell('scheduler_waiting_queue_size');
}

async function record(name: string, more: Partial<LiveRecordingOptions> = {}) {
  const page = createMetricsPage();
  page.setInfo({ backend: 'simulator', model: 'm' });
  const reports: string[] = [];
  const file = join(folder, name);
  const recording = await LiveRecording.open({
    file,
    intervalSeconds: 15,
    bytesMax: 2 ** 30,
    page,
    report: (event) => reports.push(event),
    ...more,
  });
  opened.push(recording);
  return { page, recording, reports, file };
}

async function samples(file: string, cell: number): Promise<(readonly [number, number])[]> {
  const history = await readRecording(file);
  return Array.from({ length: history.length }, (_, row) => [history.timeSeconds(row), history.value(row, cell)]);
}

describe('a recording of a server', () => {
  it('has a sample per interval, however often it is asked, and a last one at the end', async () => {
    const { page, recording, file } = await record('plain.jsonl');
    for (let second = 100; second <= 140; second++) {
      page.cells[waiting(page)] = second;
      await recording.tick(second);
    }
    await recording.close(141);
    await recording.close(142);
    expect(await samples(file, waiting(page))).toEqual([
      [100, 100],
      [115, 115],
      [130, 130],
      [141, 140],
    ]);
    expect((await readRecording(file)).info).toEqual({ backend: 'simulator', model: 'm' });
  });

  it('is complete up to the last sample at any time', async () => {
    const { page, recording, file } = await record('killed.jsonl');
    await recording.tick(0);
    await recording.tick(15);
    expect((await samples(file, waiting(page))).map(([at]) => at)).toEqual([0, 15]);
  });

  it('goes on in the same file after a restart, without the line that a killed process has left', async () => {
    const first = await record('again.jsonl');
    await first.recording.tick(0);
    await first.recording.tick(15);
    await first.recording.close(16);
    appendFileSync(first.file, '[30,9,');
    const second = await record('again.jsonl');
    second.page.cells[waiting(second.page)] = 5;
    await second.recording.tick(60);
    expect(await samples(first.file, waiting(second.page))).toEqual([
      [0, 0],
      [15, 0],
      [16, 0],
      [60, 5],
    ]);
  });

  it('is moved aside when it has grown too large', async () => {
    const { page, recording, file } = await record('large.jsonl', { bytesMax: 30_000 });
    for (let i = 0; i < 400; i++) {
      page.cells.fill(i, 5, 40);
      await recording.tick(i * 15);
    }
    expect(statSync(file).size).toBeLessThan(32_000);
    expect(statSync(`${file}.1`).size).toBeLessThan(32_000);
    expect(existsSync(`${file}.2`)).toBe(false);
    const [older, newer] = [await readRecording(`${file}.1`), await readRecording(file)];
    expect(newer.timeSeconds(0)).toBe(older.timeSeconds(older.length - 1) + 15);
    expect(newer.timeSeconds(newer.length - 1)).toBe(399 * 15);
  });

  it.skipIf(!existsSync('/dev/full'))('loses samples on a full disk, and says so once', async () => {
    const { recording, reports } = await record('unused.jsonl', { file: '/dev/full' });
    for (let i = 0; i < 5; i++) await recording.tick(i * 15);
    expect(reports).toEqual(['failed']);
  });

  it('names the file that cannot be opened', async () => {
    await expect(record('x', { file: join(folder, 'no', 'such') })).rejects.toThrow(
      /^--record .*such: no such file or directory$/,
    );
  });
});

describe('a server that records', () => {
  it('leaves what it has served, also when it is stopped before the first interval is over', async () => {
    const file = join(folder, 'served.jsonl');
    const server = await startTestServer({ record: { file, intervalSeconds: 3600, bytesMax: 2 ** 30 } });
    const response = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'twin', prompt: 'hello', max_tokens: 5 }),
    });
    expect(response.status).toBe(200);
    await response.text();
    await server.close();
    const page = createMetricsPage();
    const last = (await samples(file, page.cell('gateway_requests_total', 'success'))).at(-1);
    expect(last?.[1]).toBe(1);
    expect(readFileSync(file, 'utf8')).not.toContain('hello');
  });
});

describe('a file that is there already', () => {
  it('is not begun anew when it holds no line at all', async () => {
    const file = join(folder, 'torn.jsonl');
    writeFileSync(file, '{"format":"twinfer-me');
    const { page, recording } = await record('torn.jsonl');
    await recording.tick(3);
    expect(await samples(file, waiting(page))).toEqual([[3, 0]]);
  });
});
