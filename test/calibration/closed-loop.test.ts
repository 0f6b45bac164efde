import { describe, expect, it } from 'vitest';
import { closedLoopMeasurements, isClosedLoop } from '../../src/calibration/closed-loop-measurement.ts';
import { ClosedLoops } from '../../src/calibration/closed-loop-run.ts';
import { loopSummaries, validateLoops } from '../../src/calibration/closed-loop-validation.ts';
import { bundledDeviceProfile } from '../../src/runtime/device-profile-file.ts';
import { bundledHostProfile } from '../../src/runtime/host-profile-file.ts';

const HEADER =
  'id,backend,backend_version,model_path,system,precision,isl,osl,gemm_quant_mode,batch_size,tp_size,silicon_ttft_ms,silicon_tpot_ms,concurrency';

function rows(...lines: readonly string[]) {
  return closedLoopMeasurements('loops.csv', [HEADER, ...lines].join('\n'));
}

const EIGHT = 'a,vllm,0.12.0,meta-llama/Llama-3.1-8B-Instruct,h100_sxm,,512,64,,8.0,1.0,50,8,8';
const DEVICE = bundledDeviceProfile('H100-SXM-80GB')!;

describe('closed loops', () => {
  it('are known by their header; the batch size stands in for a concurrency that is left out', () => {
    expect(isClosedLoop(`${HEADER}\n${EIGHT}`)).toBe(true);
    expect(isClosedLoop('exp_id,model\n1,a')).toBe(false);
    const [first, second] = rows(EIGHT, EIGHT.replace(/8$/, '').replace(',512,', ',512.0,'));
    expect(first).toMatchObject({ backend: 'vllm', promptTokens: 512, concurrency: 8, fp8: false, tpotMeanMs: 8 });
    expect(second!.concurrency).toBe(8);
  });

  it('name file, line, column and value of what is no number', () => {
    expect(() => rows(EIGHT.replace(',50,', ',soon,'))).toThrow(
      'loops.csv: line 2: silicon_ttft_ms: "soon" is not allowed; a number above 0',
    );
  });

  it('of more clients have slower tokens, of longer prompts later first ones', () => {
    const loops = new ClosedLoops(DEVICE, bundledHostProfile());
    const [few, many, long] = rows(EIGHT, EIGHT.replace(/8$/, '64'), EIGHT.replace(',512,', ',4096,')).map((row) =>
      loops.predict(row),
    );
    expect(many!.tpotMeanMs).toBeGreaterThan(few!.tpotMeanMs);
    expect(long!.ttftMeanMs).toBeGreaterThan(2 * few!.ttftMeanMs);
    expect(few!.tpotMeanMs).toBeGreaterThan(5);
    expect(few!.tpotMeanMs).toBeLessThan(12);
  });

  it('are summed up by engine and model; what cannot be run says why', () => {
    const validated = validateLoops(
      rows(
        EIGHT,
        EIGHT.replace('vllm', 'trtllm'),
        EIGHT.replace('h100_sxm', 'b200_sxm'),
        EIGHT.replace('Llama-3.1-8B-Instruct', 'Nobody-9B'),
      ),
      DEVICE,
      bundledHostProfile(),
    );
    expect(validated.map(({ status }) => status)).toEqual(['compared', 'compared', 'skipped', 'skipped']);
    expect(validated[2]!.reason).toBe('b200_sxm: no device profile');
    expect(validated[3]!.reason).toMatch(/unknown; did you mean/);
    expect(loopSummaries(validated).map(({ backend, count }) => [backend, count])).toEqual([
      ['vllm', 1],
      ['trtllm', 1],
    ]);
  });
});
