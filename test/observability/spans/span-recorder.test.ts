import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NONE } from '../../../src/core/index.ts';
import { RangeExtreme } from '../../../src/observability/spans/range-extreme.ts';
import { recordedRun } from './recorded-run.ts';

const MS = 1e6;

describe('what is kept of one sequence', () => {
  it('is a wait, a prefill and one decode, however long its answer', () => {
    for (const outputTokens of [2, 100, 1000]) {
      const { records, recorder } = recordedRun([{ promptTokens: 512, outputTokens }]);
      const [record] = records;
      expect(records).toHaveLength(1);
      expect(record!.waits).toMatchObject([
        { startNs: 0, queuePosition: 0, admission: { blocksAllocated: 32, cachedBlocks: 0 } },
      ]);
      expect(record!.forwards).toMatchObject([
        { phase: 'prefill', iterations: 1, batchSum: 1, lengthsSum: 512, lengthsMax: 512, sampledTokens: 1 },
        { phase: 'decode', iterations: outputTokens - 1, sampledTokens: outputTokens - 1 },
      ]);
      const decode = record!.forwards[1]!;
      expect(decode.lengthsMax).toBe(512 + outputTokens - 1);
      expect(decode.lengthsSum).toBe((outputTokens - 1) * 512 + ((outputTokens - 1) * outputTokens) / 2);
      expect(decode.startNs).toBe(record!.firstTokenNs);
      expect(decode.endNs).toBe(record!.finishedNs);
      expect(recorder.live).toBe(0);
    }
  });

  it('has no decode where the first token is the last', () => {
    const { records } = recordedRun([{ promptTokens: 32, outputTokens: 1 }]);
    expect(records[0]!.forwards.map((each) => each.phase)).toEqual(['prefill']);
  });

  it('has one forward per chunk of a long prompt, of which the last gives a token', () => {
    const { records } = recordedRun([{ promptTokens: 1000, outputTokens: 3 }], { config: { tokensPerStepMax: 256 } });
    const prefills = records[0]!.forwards.filter((each) => each.phase === 'prefill');
    expect(prefills.map((each) => each.lengthsMax)).toEqual([256, 512, 768, 1000]);
    expect(prefills.map((each) => each.sampledTokens)).toEqual([0, 0, 0, 1]);
  });

  it('is bounded even for a prompt of very many chunks', () => {
    const { records } = recordedRun([{ promptTokens: 2000, outputTokens: 3 }], { config: { tokensPerStepMax: 64 } });
    const { forwards } = records[0]!;
    expect(forwards.length).toBeLessThanOrEqual(25);
    expect(forwards.reduce((sum, each) => sum + each.iterations, 0)).toBe(Math.ceil(2000 / 64) + 2);
  });

  it('says what the prefix cache had', () => {
    const [, second] = recordedRun([
      { promptTokens: 320, outputTokens: 2, stream: 7 },
      { promptTokens: 320, outputTokens: 2, stream: 7, arrivalNs: 500 * MS },
    ]).records;
    expect(second!.waits[0]!.admission!.cachedBlocks).toBeGreaterThan(10);
  });

  it('sees the batches of its own time alone', () => {
    const { records } = recordedRun([
      { promptTokens: 64, outputTokens: 400 },
      { promptTokens: 64, outputTokens: 20, arrivalNs: 1000 * MS },
      { promptTokens: 64, outputTokens: 20, arrivalNs: 1000 * MS },
    ]);
    const long = records.find((each) => each.requestId === 0)!.forwards.at(-1)!;
    expect([long.batchMin, long.batchMax]).toEqual([1, 3]);
    const short = records.find((each) => each.requestId === 1)!.forwards.at(-1)!;
    expect([short.batchMin, short.batchMax]).toEqual([3, 3]);
  });

  it('counts who is ahead, and ends a wait that never led anywhere', () => {
    const { records } = recordedRun(
      [
        { promptTokens: 64, outputTokens: 300 },
        { promptTokens: 64, outputTokens: 300 },
        { promptTokens: 64, outputTokens: 300, abortNs: 50 * MS },
      ],
      { config: { sequencesMax: 1 } },
    );
    const waiting = records.find((each) => each.requestId === 2)!;
    expect(waiting).toMatchObject({ finishReason: 'abort', firstTokenNs: NONE, forwards: [] });
    expect(waiting.waits).toEqual([{ startNs: 0, endNs: 50 * MS, queuePosition: 2, preemptions: 0, admission: null }]);
  });

  it('has one more wait for each preemption, by recomputation and by swap', () => {
    for (const preemption of ['recompute', 'swap'] as const) {
      const requests = Array.from({ length: 12 }, () => ({ promptTokens: 100, outputTokens: 200 }));
      const { records, recorder, engine } = recordedRun(requests, {
        config: {
          blocksTotal: 64,
          sequencesMax: 12,
          preemption,
          hostBlocksTotal: preemption === 'swap' ? 256 : 0,
          capacity: 'as-needed',
        },
      });
      const preempted = records.filter((each) => each.preemptions > 0);
      expect(preempted.length).toBeGreaterThan(0);
      for (const record of records) {
        expect(record.waits.length).toBe(Math.min(12, record.preemptions + 1));
        expect(record.waits.at(-1)!.preemptions).toBe(record.preemptions);
        expect(record.forwards.reduce((sum, each) => sum + each.sampledTokens, 0)).toBe(record.outputTokens);
      }
      expect(recorder.live).toBe(0);
      expect(engine.idle).toBe(true);
    }
  });
});

describe('laws', () => {
  it('every sequence has one record, whose stretches lie in its life and add up to its tokens', () => {
    const request = fc.record({
      arrivalNs: fc.integer({ min: 0, max: 400 * MS }),
      promptTokens: fc.integer({ min: 1, max: 600 }),
      outputTokens: fc.integer({ min: 1, max: 150 }),
      stream: fc.integer({ min: 1, max: 4 }),
      n: fc.integer({ min: 1, max: 3 }),
      abortNs: fc.option(fc.integer({ min: 0, max: 1500 * MS }), { nil: undefined, freq: 5 }),
    });
    const faults = fc.array(
      fc.record({
        kind: fc.constantFrom('transient', 'sticky'),
        atNs: fc.integer({ min: 0, max: 900 * MS }),
        message: fc.constant('x'),
      }),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(
        fc.array(request, { minLength: 1, maxLength: 14 }),
        faults,
        fc.boolean(),
        fc.constantFrom(1, 2),
        (requests, failures, runs, stepsInFlight) => {
          const arrivals = requests.map((each) => ({
            ...each,
            ...(each.abortNs === undefined ? {} : { abortNs: each.arrivalNs + each.abortNs }),
          })) as Parameters<typeof recordedRun>[0];
          const { records, recorder } = recordedRun(arrivals, {
            runs,
            faults: failures.sort((a, b) => a.atNs - b.atNs) as never,
            config: {
              blocksTotal: 80,
              sequencesMax: 6,
              tokensPerStepMax: 256,
              modelLenMax: 1024,
              stepsInFlight: stepsInFlight as 1 | 2,
            },
          });
          expect(recorder.live).toBe(0);
          expect(records.length).toBe(requests.reduce((sum, each) => sum + each.n, 0));
          for (const record of records) {
            let lastEndNs = record.receivedNs;
            for (const forward of record.forwards) {
              expect(forward.startNs).toBeGreaterThanOrEqual(record.receivedNs);
              expect(forward.endNs).toBeLessThanOrEqual(record.finishedNs);
              expect(forward.deviceNs).toBeLessThanOrEqual(forward.endNs - forward.startNs);
              expect(forward.deviceNs).toBeGreaterThan(0);
              expect(forward.batchMin).toBeLessThanOrEqual(forward.batchMax);
              expect(forward.startNs).toBeGreaterThanOrEqual(lastEndNs);
              lastEndNs = forward.endNs;
            }
            const sampled = record.forwards.reduce((sum, each) => sum + each.sampledTokens, 0);
            expect(sampled).toBe(record.outputTokens);
            for (const wait of record.waits) expect(wait.endNs).toBeGreaterThanOrEqual(wait.startNs);
          }
        },
      ),
      {
        numRuns: 60,
        // One is preempted while a step has it, which gives it a token, and is aborted before it comes back.
        examples: [
          [
            [
              { arrivalNs: 0, promptTokens: 524, outputTokens: 86, stream: 1, n: 3, abortNs: undefined },
              { arrivalNs: 10_347_931, promptTokens: 382, outputTokens: 84, stream: 2, n: 1, abortNs: 613_420_198 },
              { arrivalNs: 10_347_931, promptTokens: 1, outputTokens: 114, stream: 1, n: 1, abortNs: undefined },
            ],
            [],
            false,
            2,
          ],
        ],
      },
    );
  });

  it('the extreme of any stretch is the extreme of its values', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 200 }),
        fc.nat(),
        (values, at) => {
          const least = new RangeExtreme('min');
          const most = new RangeExtreme('max');
          values.forEach((value, i) => {
            least.add(i, value);
            most.add(i, value);
          });
          const from = at % values.length;
          expect(least.since(from - 1)).toBe(Math.min(...values.slice(from)));
          expect(most.since(from - 1)).toBe(Math.max(...values.slice(from)));
          expect(least.since(values.length - 1)).toBeNaN();
        },
      ),
    );
  });
});
