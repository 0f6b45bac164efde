import { describe, expect, it } from 'vitest';
import { contextTables, generationTables } from '../../src/calibration/attention-calibration.ts';
import { collectiveResidual, customAllReduceTables } from '../../src/calibration/collective-calibration.ts';
import { elementwiseTime } from '../../src/calibration/elementwise-calibration.ts';
import { gemmResiduals, gemmTable } from '../../src/calibration/gemm-calibration.ts';
import { KernelCsv, KernelTableError } from '../../src/calibration/kernel-csv.ts';
import { moeTables } from '../../src/calibration/moe-calibration.ts';
import { samplingTable } from '../../src/calibration/sampling-calibration.ts';

function csv(header: string, rows: readonly string[]): KernelCsv {
  return new KernelCsv('t.csv', [header, ...rows].join('\n'));
}

describe('KernelCsv', () => {
  it('names file, line and column of what is wrong', () => {
    expect(() => csv('a,b', [])).toThrow('t.csv: has no rows');
    expect(() => csv('a,b', ['1,2', '3'])).toThrow('t.csv: line 3 has 1 columns, the header has 2');
    expect(() => csv('a,b', ['1,x']).number(0, 'b')).toThrow('t.csv: line 2: b: "x" is not allowed');
    expect(() => csv('a,b', ['1,-2']).number(0, 'b')).toThrow(KernelTableError);
    expect(() => csv('a,b', ['1,2']).text(0, 'c')).toThrow('column c is missing');
  });

  it('reads milliseconds as whole nanoseconds', () => {
    expect(csv('latency', ['0.0123456']).ns(0)).toBe(12_346);
  });
});

describe('GEMM tables', () => {
  const header = 'gemm_dtype,m,n,k,latency';
  /** A grid whose times are a plane: every left-out point is met exactly. */
  const rows = [256, 512, 768].flatMap((n) =>
    [256, 512, 768].flatMap((k) => [1, 2, 3].map((m) => `bfloat16,${m},${n},${k},${(n + 2 * k + 1000 * m) / 1e6}`)),
  );

  it('are dense, in the order n, k, m', () => {
    const table = gemmTable(csv(header, rows), 'bfloat16');
    expect(table).toMatchObject({ ms: [1, 2, 3], ns: [256, 512, 768], ks: [256, 512, 768] });
    expect(table.timesNs[(1 * 3 + 2) * 3 + 1]).toBe(512 + 2 * 768 + 2000);
    for (const residual of gemmResiduals('bf16', table)) expect(residual.medianAbsError).toBe(0);
  });

  it('a hole takes what its neighbours scale to', () => {
    const table = gemmTable(csv(header, rows.slice(0, -1)), 'bfloat16');
    // From n 512, k 512 and m 2: (512 + 1536 + 3000) * 768 / 512, (768 + 1024 + 3000) * 768 / 512, (768 + 1536 + 2000) * 3 / 2.
    expect(table.timesNs.at(-1)).toBe(Math.round((7572 + 7188 + 6456) / 3));
  });

  it('need rows of the format', () => {
    expect(() => gemmTable(csv(header, rows), 'fp8')).toThrow('has no rows of gemm_dtype fp8');
  });
});

describe('attention tables', () => {
  const header = 'batch_size,isl,num_heads,num_key_value_heads,head_dim,kv_cache_dtype,step,window_size,latency';

  it('take 16-bit KV without a window; points that were not measured are 0', () => {
    const rows = ['1,16,8,2,128,bfloat16,0,0,0.01', '2,32,8,2,128,bfloat16,0,0,0.03', '1,16,8,2,128,fp8,0,0,9'];
    rows.push('1,16,8,2,128,bfloat16,0,128,9', '1,16,8,2,192,bfloat16,0,0,9');
    const [table, ...others] = contextTables(csv(header, rows));
    expect(others).toEqual([]);
    expect(table).toEqual({
      heads: 8,
      kvHeads: 2,
      headDim: 128,
      batches: [1, 2],
      tokens: [16, 32],
      timesNs: [10_000, 0, 0, 30_000],
    });
  });

  it('the context of a generation step contains the new token', () => {
    const [table] = generationTables(csv(header, ['1,1,8,2,128,bfloat16,63,0,0.01']));
    expect(table!.contexts).toEqual([64]);
  });
});

describe('other tables', () => {
  it('experts: evenly spread, whole on every GPU, columns divided by tensor parallelism', () => {
    const header =
      'moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,distribution,latency';
    const rows = ['bfloat16,2,4096,14336,2,8,2,1,balanced,0.2', 'bfloat16,1,4096,14336,2,8,2,1,balanced,0.1'];
    rows.push(
      'bfloat16,1,4096,14336,2,8,2,1,power_law_1.2,9',
      'bfloat16,1,4096,14336,2,8,1,8,balanced,9',
      'fp8,1,4096,14336,2,8,2,1,balanced,9',
    );
    expect(moeTables(csv(header, rows))).toEqual([
      {
        format: 'bf16',
        hiddenSize: 4096,
        intermediateSize: 7168,
        experts: 8,
        expertsPerToken: 2,
        tokens: [1, 2],
        timesNs: [100_000, 200_000],
      },
    ]);
  });

  it('all-reduces: of graphs only; a straight line leaves no residual', () => {
    const rows = [1, 2, 3, 4].map((size) => `2,${size},vllm_graph,${size / 1000}`);
    const tables = customAllReduceTables(csv('num_gpus,message_size,backend,latency', [...rows, '2,9,vllm_eager,1']));
    expect(tables).toEqual([{ gpus: 2, elements: [1, 2, 3, 4], timesNs: [1000, 2000, 3000, 4000] }]);
    expect(collectiveResidual('a', tables)).toMatchObject({ points: 2, medianAbsError: 0 });
    expect(collectiveResidual('a', [])).toBeNull();
  });

  it('element-wise kernels: floor, rate in cache, rate of memory', () => {
    const point = (m: number, ns: number) => `elementwise,add and RMS norm,${m},4096,0,${ns}`;
    const bytes = (m: number) => m * 4096 * 8;
    const rows = [point(1, 1500), point(512, 1500 + bytes(512) / 5000), point(8192, bytes(8192) / 3000)];
    const fit = elementwiseTime(csv('op,variant,m,n,k,time_ns', rows));
    expect(fit.floorNs).toBe(1500);
    expect(fit.l2BytesPerSecond / 5e12).toBeCloseTo(1, 3);
    expect(fit.bytesPerSecond / 3e12).toBeCloseTo(1, 3);
  });

  it('sampling: every vocabulary at every number of rows', () => {
    const header = 'op,variant,m,n,k,time_ns';
    const rows = ['sample,top-p,1,32000,0,100', 'sample,top-p,2,32000,0,150', 'sample,top-p,1,64000,0,200'];
    expect(() => samplingTable(csv(header, rows), 'top-p')).toThrow(/every vocabulary at every number of rows/);
    rows.push('sample,top-p,2,64000,0,300');
    expect(samplingTable(csv(header, rows), 'top-p')).toEqual({
      vocabs: [32_000, 64_000],
      rows: [1, 2],
      timesNs: [100, 150, 200, 300],
    });
  });
});
