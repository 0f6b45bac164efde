import { describe, expect, it } from 'vitest';
import { type DeviceFault, FaultSchedule, H100_SXM } from '../../../src/backends/simulated/index.ts';
import type { Telemetry } from '../../../src/core/index.ts';
import { DeviceDriver, MEMORY, STEPS_MAX, sequence } from './device-driver.ts';

const NEVER = Number.POSITIVE_INFINITY;

function seen(driver: DeviceDriver): (readonly [string, number])[] {
  return driver.ended.map((e) => [e.status, e.endNs] as const);
}

describe('failures', () => {
  it.each(['transient', 'sticky'] as const)(
    '%s: the step that runs then fails then, and the device goes on',
    (kind) => {
      const driver = new DeviceDriver({ faults: [{ kind, atNs: 2_000_000, message: 'Xid 94' }] });
      const rows = [sequence(1, 100, 1, NEVER)];
      driver.decode(rows);
      driver.onEnded = () => {
        if (driver.ended.length === 1) driver.decode(rows);
      };
      driver.clock.run();
      expect(seen(driver)[0]).toEqual([kind, 2_000_000]);
      expect(driver.ended[0]!.durationsNs).toEqual([]);
      expect(driver.ended[1]!.status).toBe('ok');
      expect(rows[0]!.outputTokens).toBe(2);
    },
  );

  it('an idle device fails the next step at once', () => {
    const driver = new DeviceDriver({ faults: [{ kind: 'transient', atNs: 500, message: 'ECC' }] });
    driver.clock.at(10_000, 0, { run: () => driver.decode([sequence(1, 100, 1, NEVER)]) });
    driver.clock.run();
    expect(seen(driver)).toEqual([['transient', 10_001]]);
  });

  it('a lost device fails everything from then on and is unhealthy', () => {
    const driver = new DeviceDriver({
      faults: [{ kind: 'device-lost', atNs: 2_000_000, message: 'fell off the bus' }],
    });
    const rows = [sequence(1, 100, 1, NEVER)];
    const into: Telemetry = { gpus: [] };
    driver.backend.telemetry(into);
    expect(into.gpus[0]!.healthy).toBe(true);
    driver.decode(rows);
    driver.onEnded = () => {
      if (driver.ended.length < 3) driver.decode(rows);
    };
    driver.clock.run();
    expect(driver.ended.map((e) => e.status)).toEqual(['device-lost', 'device-lost', 'device-lost']);
    driver.backend.telemetry(into);
    expect(into.gpus[0]!.healthy).toBe(false);
  });

  it('what was queued behind a failed step is not run, and what comes later is', () => {
    const driver = new DeviceDriver({ stepsInFlight: 2, faults: [{ kind: 'sticky', atNs: 2_000_000, message: 'x' }] });
    const rows = [sequence(1, 100, 1, NEVER)];
    driver.decode(rows);
    driver.decode(rows);
    driver.onEnded = () => {
      if (driver.ended.length === 2) driver.decode(rows);
    };
    driver.clock.run();
    expect(seen(driver).slice(0, 2)).toEqual([
      ['sticky', 2_000_000],
      ['transient', 2_000_000],
    ]);
    expect(driver.ended[2]!.status).toBe('ok');
  });

  it('a run ends before the step that fails', () => {
    const driver = new DeviceDriver({ faults: [{ kind: 'transient', atNs: 50_000_000, message: 'x' }] });
    const rows = [sequence(1, 100, 1, NEVER)];
    driver.decode(rows, STEPS_MAX);
    driver.onEnded = () => {
      if (driver.ended.length === 1) driver.decode(rows, 10);
    };
    driver.clock.run();
    expect(driver.ended[0]!.status).toBe('ok');
    expect(driver.ended[0]!.endNs).toBeLessThanOrEqual(50_000_000);
    expect(seen(driver)[1]).toEqual(['transient', 50_000_000]);
  });

  it('two backends with the same faults do the same', () => {
    const faults: DeviceFault[] = [
      { kind: 'transient', atNs: 30_000_000, message: 'x' },
      { kind: 'slow', fromNs: 10_000_000, toNs: 40_000_000, factor: 1.3 },
    ];
    const run = () => {
      const driver = new DeviceDriver({ faults });
      const rows = [sequence(1, 100, 1, NEVER), sequence(2, 2000, 1, 90)];
      driver.onEnded = () => {
        if (driver.ended.length < 20) driver.decode(rows, 7, 1000);
      };
      driver.decode(rows, 7, 1000);
      driver.clock.run();
      return driver.ended;
    };
    expect(run()).toEqual(run());
  });
});

describe('slow windows', () => {
  it('lengthen the steps that begin inside, and multiply where they overlap', () => {
    const schedule = new FaultSchedule([
      { kind: 'slow', fromNs: 100, toNs: 300, factor: 2 },
      { kind: 'slow', fromNs: 200, toNs: 400, factor: 3 },
    ]);
    expect([0, 99, 100, 199, 200, 299, 300, 399, 400, 1e12].map((t) => schedule.slowFactor(t))).toEqual([
      1, 1, 2, 2, 6, 6, 3, 3, 1, 1,
    ]);
  });
});

describe('a failing device', () => {
  it('fails a step every so often, and once for the time that it was idle', () => {
    const driver = new DeviceDriver({
      faults: [{ kind: 'failing', fromNs: 20_000_000, toNs: 300_000_000, everyNs: 50_000_000, message: 'bad row' }],
    });
    const rows = [sequence(1, 100, 1, NEVER)];
    driver.onEnded = () => {
      const { endNs } = driver.ended.at(-1)!;
      if (endNs < 100_000_000) driver.decode(rows);
      else if (endNs < 200_000_000) driver.clock.at(250_000_000, 0, { run: () => driver.decode(rows) });
      else if (endNs < 400_000_000) driver.decode(rows);
    };
    driver.decode(rows);
    driver.clock.run();
    const failures = seen(driver).filter(([status]) => status !== 'ok');
    expect(failures.map(([, endNs]) => endNs)).toEqual([20_000_000, 70_000_000, 250_000_001, 270_000_000]);
    expect(failures.every(([status]) => status === 'sticky')).toBe(true);
  });
});

describe('acceptance windows', () => {
  it('give other probabilities inside, the last window where they overlap', () => {
    const schedule = new FaultSchedule([
      { kind: 'acceptance', fromNs: 100, toNs: 300, rates: [0.4] },
      { kind: 'acceptance', fromNs: 200, toNs: 250, rates: [0.1, 0.2] },
    ]);
    const at = [99, 100, 200, 249, 250, 300].map((t) => schedule.acceptanceRates(t));
    expect(at).toEqual([null, [0.4], [0.1, 0.2], [0.1, 0.2], [0.4], null]);
  });
});

describe('bad faults name the entry and its field', () => {
  it.each([
    [{ kind: 'transient', atNs: -1, message: '' }, 'faults[1].atNs'],
    [{ kind: 'device-lost', atNs: NEVER, message: '' }, 'faults[1].atNs'],
    [{ kind: 'slow', fromNs: 0, toNs: 0, factor: 2 }, 'faults[1].toNs'],
    [{ kind: 'slow', fromNs: 0, toNs: 1, factor: 0 }, 'faults[1].factor'],
    [{ kind: 'unhealthy', fromNs: Number.NaN, toNs: 1, gpu: null }, 'faults[1].fromNs'],
    [{ kind: 'failing', fromNs: 0, toNs: 1e9, everyNs: 1, message: '' }, 'faults[1].everyNs'],
    [{ kind: 'acceptance', fromNs: 0, toNs: 1, rates: [0.5, 2] }, 'faults[1].rates'],
    [{ kind: 'melted' }, 'faults[1].kind'],
  ])('%j', (fault, field) => {
    const good: DeviceFault = { kind: 'transient', atNs: 0, message: '' };
    expect(() => new FaultSchedule([good, fault as DeviceFault])).toThrow(field);
  });
});

describe('telemetry', () => {
  it('memory by category adds up', () => {
    const into: Telemetry = { gpus: [] };
    new DeviceDriver().backend.telemetry(into);
    const gpu = into.gpus[0]!;
    expect(into.gpus).toHaveLength(1);
    expect(gpu.modelBytes).toBe(MEMORY.weightBytes);
    expect(gpu.kvCacheBytes).toBe(MEMORY.blocksTotal * MEMORY.blockBytes);
    expect(gpu.memoryUsedBytes - gpu.modelBytes - gpu.kvCacheBytes - gpu.activationBytes).toBe(MEMORY.runtimeBytes);
    expect(gpu.memoryUsedBytes).toBeLessThanOrEqual(gpu.memoryTotalBytes);
    expect(gpu.computeUtilizationPercent).toBeNaN();
  });

  it('utilisation is busy time since the last reading, also in the middle of a run', () => {
    const driver = new DeviceDriver();
    const into: Telemetry = { gpus: [] };
    const readings: [compute: number, bandwidth: number][] = [];
    const read = { run: () => read_() };
    const read_ = () => {
      driver.backend.telemetry(into);
      readings.push([into.gpus[0]!.computeUtilizationPercent, into.gpus[0]!.memoryBandwidthUtilizationPercent]);
    };
    // Idle, then a step of about 7.3 ms from 10 ms on.
    driver.clock.at(10_000_000, 5, read);
    driver.clock.at(10_000_000, 5, { run: () => driver.decode([sequence(1, 100, 1, NEVER)]) });
    driver.clock.at(12_000_000, 5, read);
    driver.clock.at(14_000_000, 5, read);
    driver.clock.at(100_000_000, 5, read);
    driver.clock.at(101_000_000, 5, read);
    driver.clock.run();
    const stepNs = driver.ended[0]!.durationsNs[0]!;
    expect(readings[0]).toEqual([0, 0]);
    expect(readings[1]![0]).toBeCloseTo(100, 9);
    expect(readings[2]![0]).toBeCloseTo(100, 9);
    expect(readings[3]![0]).toBeCloseTo((100 * (stepNs - 4_000_000)) / 86_000_000, 6);
    expect(readings[4]).toEqual([0, 0]);
    // A decode step of one sequence reads about 15 GB of weights.
    const bytes = (readings[1]![1] / 100) * H100_SXM.hbmBytesPerSecond * 0.002;
    expect((bytes * stepNs) / 2_000_000 / 15e9).toBeCloseTo(1, 1);
  });

  it('host time that nothing hides is not busy', () => {
    const driver = new DeviceDriver();
    const into: Telemetry = { gpus: [] };
    driver.decode([sequence(1, 100, 1, NEVER)], 4, 5_000_000);
    driver.clock.run();
    driver.backend.telemetry(into);
    const total = driver.ended[0]!.durationsNs.reduce((a, b) => a + b, 0);
    expect(into.gpus[0]!.computeUtilizationPercent).toBeCloseTo(100 * (1 - 20_000_000 / total), 6);
  });

  it('reports unhealthy GPUs only in their window', () => {
    const schedule = new FaultSchedule([{ kind: 'unhealthy', fromNs: 10, toNs: 20, gpu: 1 }]);
    expect([9, 10, 19, 20].map((t) => schedule.healthy(1, t))).toEqual([true, false, false, true]);
    expect(schedule.healthy(0, 15)).toBe(true);
  });
});
