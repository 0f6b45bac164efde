import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GREEDY } from '../../src/core/index.ts';
import { generatedWorkload, type WorkloadSpec } from '../../src/simulation/generated-workload.ts';
import type { WorkloadRequest } from '../../src/simulation/workload.ts';

const SPEC: WorkloadSpec = {
  arrivals: { kind: 'poisson', ratePerS: 10 },
  prompts: {
    kind: 'independent',
    promptTokens: { kind: 'lognormal', p50: 300, p99: 3000, tokensMin: 1, tokensMax: 8000 },
    outputTokens: { kind: 'uniform', tokensMin: 1, tokensMax: 200 },
  },
  requests: 2000,
  durationS: null,
  outputTokensMax: null,
  priority: 0,
  timeoutS: null,
};

function all(spec: WorkloadSpec, seed: number | string = 1): WorkloadRequest[] {
  const workload = generatedWorkload(spec, seed);
  const requests: WorkloadRequest[] = [];
  for (;;) {
    const batch = workload.next() as WorkloadRequest[] | null;
    if (batch === null) return requests;
    expect(batch.length).toBeGreaterThan(0);
    requests.push(...batch);
  }
}

function firstTokens(request: WorkloadRequest): string {
  const into = new Int32Array(8);
  request.prompt.copy(0, 8, into, 0);
  return into.join();
}

describe('open loop', () => {
  it('the same seed gives the same requests, another seed others', () => {
    const facts = (seed: number): unknown =>
      all(SPEC, seed).map((request) => [request.arrivalNs, request.prompt.length, request.outputTokensMax]);
    expect(facts(3)).toEqual(facts(3));
    expect(facts(3)).not.toEqual(facts(4));
  });

  it('lengths do not depend on how requests arrive', () => {
    const lengths = (spec: WorkloadSpec): unknown =>
      all(spec).map((request) => [request.prompt.length, request.outputTokensMax]);
    expect(lengths({ ...SPEC, arrivals: { kind: 'gamma', ratePerS: 99, cv: 4 } })).toEqual(lengths(SPEC));
  });

  it('ends at the first of count, time and stages', () => {
    expect(all(SPEC).length).toBe(2000);
    const timed = all({ ...SPEC, durationS: 20 });
    expect(timed.length).toBeLessThan(300);
    expect(timed.at(-1)!.arrivalNs).toBeLessThan(20e9);
    expect(timed.map((request) => request.arrivalNs)).toEqual(
      all(SPEC)
        .slice(0, timed.length)
        .map((r) => r.arrivalNs),
    );
    const stages = {
      ...SPEC,
      requests: null,
      arrivals: { kind: 'stages', stages: [{ ratePerS: 5, durationS: 60 }] },
    } as const;
    expect(all(stages).length).toBe(300);
    expect(all({ ...stages, requests: 7 }).length).toBe(7);
  });

  it('tells what it knows about its length', () => {
    const expected = (spec: WorkloadSpec): unknown[] => {
      const { requestsExpected, durationExpectedNs } = generatedWorkload(spec, 1);
      return [requestsExpected, durationExpectedNs];
    };
    expect(expected(SPEC)).toEqual([2000, null]);
    expect(expected({ ...SPEC, requests: null, durationS: 60 })).toEqual([null, 60e9]);
    const stages = { kind: 'stages', stages: [{ ratePerS: 5, durationS: 60 }] } as const;
    expect(expected({ ...SPEC, requests: null, arrivals: stages })).toEqual([300, 60e9]);
  });

  it('forces the drawn output, or leaves the end to the model', () => {
    const forced = all(SPEC)[5]!;
    const free = all({ ...SPEC, outputTokensMax: 4096, timeoutS: 2.5, priority: 3 })[5]!;
    expect(forced).toMatchObject({ impliedOutputTokens: Number.POSITIVE_INFINITY, sampling: GREEDY });
    expect(free).toMatchObject({ outputTokensMax: 4096, impliedOutputTokens: forced.outputTokensMax });
    expect(free).toMatchObject({ timeoutNs: 2.5e9, priority: 3 });
    expect(free.sampling.ignoreEos).toBe(false);
  });

  it('independent prompts share nothing', () => {
    expect(new Set(all(SPEC).map(firstTokens)).size).toBeGreaterThan(1990); // short ones may look alike
  });

  it('a million requests leave the heap as it was', () => {
    const workload = generatedWorkload({ ...SPEC, requests: 1_000_000 }, 1);
    const before = process.memoryUsage().heapUsed;
    let peak = 0;
    let requests = 0;
    let largestBatch = 0;
    for (;;) {
      const batch = workload.next() as WorkloadRequest[] | null;
      if (batch === null) break;
      requests += batch.length;
      largestBatch = Math.max(largestBatch, batch.length);
      if (requests % (512 * 64) === 0) peak = Math.max(peak, process.memoryUsage().heapUsed);
    }
    expect(requests).toBe(1_000_000);
    expect(largestBatch).toBeLessThanOrEqual(1000);
    expect(peak - before).toBeLessThan(100e6);
  });

  it('nothing comes after close, and nothing in answer to an end', () => {
    const workload = generatedWorkload(SPEC, 1);
    expect(workload.afterFinished(5)).toBeNull();
    workload.close();
    workload.close();
    expect(workload.next()).toBeNull();
  });

  it.each([
    [{ requests: null }, 'requests: null is not allowed; requests or durationS must limit the workload'],
    [{ requests: 0 }, 'requests: 0'],
    [{ durationS: -1 }, 'durationS: -1'],
    [{ outputTokensMax: 0 }, 'outputTokensMax: 0'],
    [{ timeoutS: 0 }, 'timeoutS: 0'],
    [{ priority: 0.5 }, 'priority: 0.5'],
  ])('%j is refused', (change, message) => {
    expect(() => generatedWorkload({ ...SPEC, ...change }, 1)).toThrow(message);
  });
});

describe('closed loop', () => {
  const CLOSED: WorkloadSpec = {
    ...SPEC,
    arrivals: { kind: 'closed-loop', concurrency: 8, thinkTimeS: 0, thinkTimeCv: 0 },
    requests: 500,
  };

  /** Runs the loop with service times drawn from `serviceNs`; gives arrivals, ends and the most requests at once. */
  function serve(spec: WorkloadSpec, seed: number, serviceNs: (r: number) => number) {
    const workload = generatedWorkload(spec, seed);
    const running: { arrivalNs: number; endNs: number }[] = [];
    const done: { arrivalNs: number; endNs: number }[] = [];
    const enter = (request: WorkloadRequest): void => {
      const { arrivalNs } = request;
      running.push({ arrivalNs, endNs: arrivalNs + serviceNs(running.length + done.length) });
    };
    for (let batch = workload.next(); batch !== null; batch = workload.next())
      (batch as WorkloadRequest[]).forEach(enter);
    while (running.length > 0) {
      running.sort((a, b) => a.endNs - b.endNs);
      const ended = running.shift()!;
      done.push(ended);
      const next = workload.afterFinished(ended.endNs);
      if (next !== null) {
        expect(next.arrivalNs).toBeGreaterThanOrEqual(ended.endNs);
        expect(Number.isSafeInteger(next.arrivalNs)).toBe(true);
        enter(next);
      }
    }
    // Ends before arrivals of the same time: a user's next request follows its last one.
    const changes = done.flatMap(({ arrivalNs, endNs }) => [
      { at: arrivalNs, by: 1 },
      { at: endNs, by: -1 },
    ]);
    changes.sort((a, b) => a.at - b.at || a.by - b.by);
    let now = 0;
    let most = 0;
    for (const { by } of changes) {
      now += by;
      most = Math.max(most, now);
    }
    return { done, most };
  }

  it('never has more requests at once than its concurrency, and all of them end', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 300 }),
        fc.double({ min: 0, max: 3, noNaN: true }),
        fc.double({ min: 0, max: 2, noNaN: true }),
        fc.array(fc.integer({ min: 1, max: 5e9 }), { minLength: 1, maxLength: 20 }),
        (concurrency, requests, thinkTimeS, thinkTimeCv, services) => {
          const arrivals = { kind: 'closed-loop', concurrency, thinkTimeS, thinkTimeCv } as const;
          const { done, most } = serve({ ...CLOSED, arrivals, requests }, 1, (r) => services[r % services.length]!);
          expect(done.length).toBe(requests);
          expect(most).toBeLessThanOrEqual(concurrency);
          if (thinkTimeS === 0) expect(most).toBe(Math.min(concurrency, requests));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('thinks as long as asked', () => {
    const arrivals = { kind: 'closed-loop', concurrency: 1, thinkTimeS: 2, thinkTimeCv: 1 } as const;
    const { done } = serve({ ...CLOSED, arrivals, requests: 20_000 }, 1, () => 1e9);
    expect(Math.abs(done.at(-1)!.endNs / 20_000 / 3e9 - 1)).toBeLessThan(0.03);
  });

  it('sends nothing at or after its duration', () => {
    const { done } = serve({ ...CLOSED, requests: null, durationS: 10 }, 1, () => 0.7e9);
    expect(done.length).toBe(8 * 15);
    expect(Math.max(...done.map(({ arrivalNs }) => arrivalNs))).toBeLessThan(10e9);
  });
});
