import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mixedWorkload, type StreamSpec } from '../../src/simulation/mixed-workload.ts';
import type { Workload, WorkloadRequest } from '../../src/simulation/workload.ts';

function stream(name: string, fromS: number, durationS: number, ratePerS = 5): StreamSpec {
  return {
    name,
    fromNs: fromS * 1e9,
    spec: {
      arrivals: { kind: 'poisson', ratePerS },
      prompts: {
        kind: 'independent',
        promptTokens: { kind: 'uniform', tokensMin: 1, tokensMax: 99 },
        outputTokens: { kind: 'fixed', tokens: 3 },
      },
      requests: null,
      durationS,
      outputTokensMax: null,
      priority: fromS,
      timeoutS: null,
    },
  };
}

function all(workload: Workload): WorkloadRequest[] {
  const requests: WorkloadRequest[] = [];
  for (let batch = workload.next(); batch !== null; batch = workload.next()) {
    requests.push(...(batch as WorkloadRequest[]));
  }
  return requests;
}

const streams = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 60 })), { minLength: 1, maxLength: 6 })
  .map((windows) => windows.map(([fromS, durationS], i) => stream(`s${i}`, fromS, durationS)));

describe('a mixed workload', () => {
  it('is in order of arrival, and each stream keeps to its time', () => {
    fc.assert(
      fc.property(streams, fc.integer(), (specs, seed) => {
        const requests = all(mixedWorkload(specs, Number.POSITIVE_INFINITY, seed));
        requests.forEach((request, i) => {
          if (i > 0) expect(request.arrivalNs).toBeGreaterThanOrEqual(requests[i - 1]!.arrivalNs);
          const { fromNs, spec } = specs[request.cacheSalt]!;
          expect(request.arrivalNs).toBeGreaterThanOrEqual(fromNs);
          expect(request.arrivalNs).toBeLessThan(fromNs + spec.durationS! * 1e9);
          expect(request.priority).toBe(spec.priority);
        });
      }),
      { numRuns: 15 },
    );
  });

  it('gives a stream the same requests whatever runs beside it', () => {
    const chat = stream('chat', 0, 600);
    const shape = ({ arrivalNs, prompt }: WorkloadRequest) => [arrivalNs, prompt.length];
    const alone = all(mixedWorkload([chat], Number.POSITIVE_INFINITY, 7));
    const beside = all(mixedWorkload([chat, stream('burst', 100, 60, 50)], Number.POSITIVE_INFINITY, 7));
    expect(alone.length).toBeGreaterThan(2500);
    expect(beside.filter(({ cacheSalt }) => cacheSalt === 0).map(shape)).toEqual(alone.map(shape));
    expect(all(mixedWorkload([chat], Number.POSITIVE_INFINITY, 8)).map(shape)).not.toEqual(alone.map(shape));
  });

  it('ends at the limit of requests of all streams together', () => {
    const requests = all(mixedWorkload([stream('a', 0, 600), stream('b', 0, 600)], 1000, 1));
    expect(requests.length).toBe(1000);
    expect(new Set(requests.map(({ cacheSalt }) => cacheSalt)).size).toBe(2);
  });
});
