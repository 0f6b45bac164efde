import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { GemmTimes, gemmFloorNs } from '../../src/backends/simulated/kernels/gemm-times.ts';
import { profileText } from '../../src/calibration/device-calibration.ts';
import { calibrateDevice } from '../../src/runtime/calibrate-device.ts';
import { bundledDeviceProfile, readDeviceProfile } from '../../src/runtime/device-profile-file.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const tables = `${root}../shared/data/profiles/aiconfigurator-h100`;
const given = existsSync(tables);
if (!given) console.warn(`skipped: no kernel tables in ${tables}`);

const profile = bundledDeviceProfile('H100-SXM-80GB')!;

describe('the bundled profile of the H100', () => {
  /** Largest allowed median error of what was left out. */
  it.each([
    ['gemm.bf16', 'one shape (n, k) at all m', 0.04],
    ['gemm.fp8', 'one shape (n, k) at all m', 0.04],
    ['contextAttention', 'one point, from the batches next to it', 0.03],
    ['generationAttention', 'one point, from the contexts next to it', 0.02],
    ['allReduce', 'one size', 0.05],
    ['moe', 'one number of tokens', 0.04],
  ])('%s, leaving out %s: within %d', (table, leftOut, limit) => {
    const residual = profile.residuals.find((each) => each.table === table && each.leftOut === leftOut);
    expect(residual!.medianAbsError).toBeLessThanOrEqual(limit);
    expect(residual!.points).toBeGreaterThan(50);
  });

  it('has peaks below the datasheet and above what models reach', () => {
    const { hbmBytesPerSecond, bf16FlopsPerSecond, fp8FlopsPerSecond } = profile.peaks;
    expect(hbmBytesPerSecond).toBeGreaterThan(2.8e12);
    expect(hbmBytesPerSecond).toBeLessThan(3.35e12);
    expect(bf16FlopsPerSecond).toBeLessThan(989.4e12);
    expect(fp8FlopsPerSecond).toBeLessThan(1978.9e12);
  });

  it('no product is faster than the roofline of the measured peaks', () => {
    for (const format of ['bf16', 'fp8'] as const) {
      const times = new GemmTimes(profile.gemm[format], profile.peaks, format);
      for (const n of [256, 1000, 4096, 6144, 28_672, 128_256]) {
        for (const k of [256, 3584, 4096, 14_336, 28_672]) {
          for (const m of [1, 8, 17, 64, 129, 1000, 4096, 40_000]) {
            expect(times.timeNs(m, n, k)).toBeGreaterThanOrEqual(gemmFloorNs(profile.peaks, format, m, n, k));
          }
        }
      }
    }
  });

  it.skipIf(!given)('is what the command of its documentation makes, byte for byte', () => {
    const made = calibrateDevice({
      tables,
      framework: 'vllm',
      version: '0.24.0',
      ncclVersion: '2.27.3',
      elementwise: `${root}bench/gpu/h100-2026-11-24/kernels.csv`,
      device: 'H100-SXM-80GB',
      createdOn: '2026-11-24',
    });
    expect(profileText(made) === profileText(profile)).toBe(true);
    expect(made.sources.every((source) => /^[0-9a-f]{64}$/.test(source.sha256))).toBe(true);
  });

  it('says which file cannot be read', () => {
    expect(() => readDeviceProfile('nowhere.json')).toThrow(/profile nowhere\.json: no such file/);
    expect(() => readDeviceProfile(`${root}README.md`)).toThrow(/README\.md: is no JSON/);
    expect(() => readDeviceProfile(`${root}package.json`)).toThrow(/formatVersion: undefined is not allowed; 1/);
    expect(bundledDeviceProfile('A100-SXM-80GB')).toBeNull();
  });
});
