import { describe, expect, it } from 'vitest';
import { framesOf, lastFrame, wholeRun } from '../../../src/observability/dashboard/dashboard-frames.ts';
import { panelMetrics } from '../../../src/observability/dashboard/panel-definition.ts';
import { PANELS } from '../../../src/observability/dashboard/panels.ts';
import { TILES } from '../../../src/observability/dashboard/tiles.ts';
import { CATALOGUE } from '../../../src/observability/index.ts';
import { dashboardRun } from './dashboard-run.ts';

describe('the panels', () => {
  it("are those of the catalogue: each metric's panel exists, and shows it", () => {
    for (const { name, panel } of CATALOGUE) {
      if (panel === undefined || panel.row === 'key') continue;
      const found = PANELS.find(({ row, title }) => row === panel.row && title === panel.title);
      expect(found, `${name}: ${panel.title}`).toBeDefined();
      // Gauges over time are drawn from the counters that they are made of.
      if (!/_rate$/.test(name)) expect(panelMetrics(found!)).toContain(name);
    }
  });

  it('have the layout of the specification', () => {
    const titles = (row: string) => PANELS.filter((panel) => panel.row === row).map(({ title }) => title);
    expect(TILES.map(({ title }) => title)).toEqual(
      expect.arrayContaining(['TTFT p99', 'Tokens per second', 'GPU utilization', 'KV cache', 'Errors']),
    );
    expect(titles('latency').slice(0, 2)).toEqual(['TTFT', 'Inter-token latency']);
    expect(titles('throughput').slice(0, 2)).toEqual(['Tokens per second', 'Queue sizes']);
    expect(titles('memory')).toEqual(['KV cache utilization', 'GPU']);
    expect(titles('cache')).toEqual(['Prefix cache hit rate', 'Speculative acceptance']);
  });

  it('stack prefill on decode and never their sum', () => {
    const tokens = PANELS.find(({ id }) => id === 'tokens')!;
    expect(panelMetrics(tokens)).toEqual(['prefill_tokens_total', 'decode_tokens_total']);
  });

  it('say what they show', () => {
    const ids = [...TILES, ...PANELS].map(({ id }) => id);
    expect(new Set(PANELS.map(({ id }) => id)).size).toBe(PANELS.length);
    expect(ids.every((id) => /^[a-z0-9-]+$/.test(id))).toBe(true);
    expect([...TILES, ...PANELS].filter(({ help }) => !/^[A-Z0-9].*\.$/.test(help))).toEqual([]);
  });
});

describe('frames', () => {
  it('of a recording are no more than asked for, cover all of it and agree with its totals', async () => {
    const history = await dashboardRun();
    const frames = framesOf(history, 50);
    expect(frames.length).toBeLessThanOrEqual(50);
    expect(frames.at(-1)!.t).toBe(history.timeSeconds(history.length - 1));
    // Columns that are wider than the heat-map's window share no first token, but for the last one, which may be narrower.
    const observations = (h: readonly number[]) => h.reduce((sum, each, i) => sum + (i % 2 === 1 ? each : 0), 0);
    const coarse = framesOf(history, 10).map(({ h }) => observations(h));
    const whole = observations(framesOf(history, 1)[0]!.h);
    const without = coarse.slice(0, -1).reduce((sum, count) => sum + count, 0);
    expect(without).toBeLessThanOrEqual(whole);
    expect(without + coarse.at(-1)!).toBeGreaterThanOrEqual(whole);
    expect(whole).toBeGreaterThan(500);
    expect(wholeRun(history)).toHaveLength(TILES.length);
  });

  it('live and recorded are the same where a point is a row', async () => {
    const history = await dashboardRun();
    expect(lastFrame(history)).toEqual(framesOf(history, history.length).at(-1));
  });
});
