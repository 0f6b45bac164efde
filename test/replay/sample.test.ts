import { readFileSync, statSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { SAMPLE_PATH, SAMPLE_SEED, sampleTrace } from '../../replay/samples/generate.ts';
import { blockKeys, readTrace } from './traces.ts';

describe('bundled sample trace', () => {
  it('is what its generator gives, byte for byte', () => {
    expect(gunzipSync(readFileSync(SAMPLE_PATH)).equals(Buffer.from(sampleTrace(SAMPLE_SEED)))).toBe(true);
    expect(sampleTrace(SAMPLE_SEED + 1)).not.toBe(sampleTrace(SAMPLE_SEED));
  });

  it('is small, and holds ten minutes of about 2,000 requests that share prefixes', async () => {
    expect(statSync(SAMPLE_PATH).size).toBeLessThan(150_000);
    const { requests, workload } = await readTrace(SAMPLE_PATH);
    expect(workload.badRows).toBe(0);
    expect(requests.length).toBeGreaterThan(1800);
    expect(requests.length).toBeLessThan(2200);
    expect(requests.at(-1)!.arrivalNs).toBeGreaterThan(550e9);
    expect(requests.at(-1)!.arrivalNs).toBeLessThan(600e9);
    const seen = new Set<string>();
    let hits = 0;
    let blocks = 0;
    for (const request of requests) {
      for (const key of blockKeys(request, 16)) {
        blocks++;
        if (seen.has(key)) hits++;
        seen.add(key);
      }
    }
    expect(hits / blocks).toBeGreaterThan(0.4);
    expect(hits / blocks).toBeLessThan(0.9);
  });
});
