import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { createMetricsPage } from '../../../src/observability/index.ts';
import { AlertWatch } from '../../../src/runtime/serving/alert-watch.ts';

const START_SECONDS = 1_705_312_800.5;
const LEVEL = { info: 30, warn: 40, error: 50 } as const;

function watch() {
  const lines: { level: number; msg: string; alert: string; labels: object }[] = [];
  const page = createMetricsPage();
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  return { page, lines, watch: new AlertWatch(page, log) };
}

describe('the alert watch of a server', () => {
  it('judges as often as a scrape, and logs by severity what fires and what is over', () => {
    const { page, lines, watch: alerts } = watch();
    const health = page.cell('gpu_health_status', '0');
    const waiting = page.cell('scheduler_waiting_queue_size');
    for (let second = 0; second <= 180; second++) {
      page.cells[health] = second >= 20 && second < 100 ? 0 : 1;
      page.cells[waiting] = second >= 20 && second < 100 ? 400 : 0;
      alerts.tick(START_SECONDS + second);
    }
    expect(lines.map(({ level, msg, alert }) => [level, msg, alert])).toEqual([
      [LEVEL.error, 'alert firing', 'GPUFailure'],
      [LEVEL.warn, 'alert firing', 'QueueBacklog'],
      [LEVEL.info, 'alert resolved', 'GPUFailure'],
      [LEVEL.info, 'alert resolved', 'QueueBacklog'],
    ]);
    expect(lines[0]!.labels).toEqual({ gpu_id: '0' });
    expect(alerts.current()).toEqual([]);
  });

  it('says since when what is wrong', () => {
    const { page, watch: alerts } = watch();
    for (let second = 0; second <= 70; second++) {
      page.cells[page.cell('gpu_health_status', '0')] = second >= 20 ? 0 : 1;
      page.cells[page.cell('scheduler_waiting_queue_size')] = second >= 20 ? 400 : 0;
      alerts.tick(START_SECONDS + second);
    }
    expect(alerts.current()).toMatchObject([
      {
        alert: 'GPUFailure',
        state: 'firing',
        sinceSeconds: START_SECONDS + 30,
        firingSinceSeconds: START_SECONDS + 60,
      },
      { alert: 'QueueBacklog', state: 'pending', sinceSeconds: START_SECONDS + 30, firingSinceSeconds: null },
    ]);
  });
});
