import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GREEDY, NONE, REQUEST_DEFAULTS } from '../../../src/core/index.ts';
import type { EngineRequest, EngineSink } from '../../../src/gateway/engine-link.ts';
import { CommandWriter, readCommands } from '../../../src/runtime/serving/command-wire.ts';
import { ReportReader, ReportWriter } from '../../../src/runtime/serving/report-wire.ts';

const finite = fc.double({ noNaN: true, min: -1e6, max: 1e6 });
const count = fc.integer({ min: 0, max: 1_000_000 });
const sampling = fc.record({
  temperature: finite,
  topP: finite,
  topK: count,
  minP: finite,
  presencePenalty: finite,
  frequencyPenalty: finite,
  repetitionPenalty: finite,
  seed: fc.option(fc.maxSafeInteger()),
  outputTokensMin: count,
  ignoreEos: fc.boolean(),
  logprobs: fc.option(fc.integer({ min: 0, max: 20 })),
  promptLogprobs: fc.option(fc.integer({ min: 0, max: 20 })),
  n: fc.integer({ min: 1, max: 128 }),
  stopTokenIds: fc.array(count, { maxLength: 5 }),
  logitBias: fc.option(
    fc
      .dictionary(fc.integer({ min: 0, max: 9999 }).map(String), finite, { minKeys: 1 })
      .map((o) => new Map(Object.entries(o).map(([k, v]) => [Number(k), v]))),
  ),
});
const number = fc.oneof(count, finite, fc.constant(Number.POSITIVE_INFINITY));
const { sampling: _sampling, ...numbers } = REQUEST_DEFAULTS;
const request: fc.Arbitrary<EngineRequest> = fc.record({
  ...(Object.fromEntries(Object.keys(numbers).map((key) => [key, number])) as Record<
    keyof typeof numbers,
    typeof number
  >),
  id: count,
  prompt: fc.array(count, { maxLength: 6000 }).map((ids) => Int32Array.from(ids)),
  outputTokensMax: count,
  sampling,
});
type Command = ['submit', EngineRequest] | ['abort', number] | ['finish', number, number, number];
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.tuple(fc.constant('submit' as const), request),
  fc.tuple(fc.constant('abort' as const), count),
  fc.tuple(fc.constant('finish' as const), count, count, count),
);

describe('commands', () => {
  it('arrive as they were sent, in their order', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 6 }), (commands) => {
        const writer = new CommandWriter();
        for (const [kind, ...args] of commands) (writer[kind] as (...args: unknown[]) => void)(...args);
        const got: Command[] = [];
        readCommands(writer.take(), {
          submit: (it) => got.push(['submit', it]),
          abort: (id) => got.push(['abort', id]),
          finish: (id, index, kept) => got.push(['finish', id, index, kept]),
        });
        expect(got).toEqual(commands);
        expect(writer.empty).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

const LOGPROBS = {
  fill(token: number, previous: number, top: number, floats: Float64Array, at: number, ids: Int32Array, idsAt: number) {
    floats[at] = -token - previous / 1000;
    for (let i = 0; i < top; i++) {
      floats[at + 1 + i] = -token - i;
      ids[idsAt + i] = token + i;
    }
  },
};

describe('reports', () => {
  it('hand tokens, log-probabilities and ends to the sink of their request', () => {
    const writer = new ReportWriter(LOGPROBS);
    writer.admitted(7, 0, 32);
    writer.prompt(7, Int32Array.of(5, 6, 9), 2);
    writer.tokens(7, 0, Int32Array.of(11, 12, 13), 1, 2, 1, 99);
    writer.tokens(8, 3, Int32Array.of(20), 0, 1, null, 99);
    writer.finished(7, 0, 'stop', { outputTokens: 3, stopTokenId: 13, rejection: null });
    writer.finished(9, 0, 'rejected', { outputTokens: 0, stopTokenId: NONE, rejection: 'queue-full' });
    const calls: unknown[] = [];
    const sink = (id: number): EngineSink => ({
      tokens: (index, ids, at, n, logprobs) => calls.push(['tokens', id, index, [...ids.slice(at, at + n)], logprobs]),
      admitted: (index, cached) => calls.push(['admitted', id, index, cached]),
      promptLogprobs: (logprobs) => calls.push(['prompt', id, logprobs]),
      finished: (index, reason, detail) => calls.push(['finished', id, index, reason, detail]),
      stepEnd: (ns) => calls.push(['end', id, ns]),
      failed: () => {},
    });
    const sinks = new Map([7, 8].map((id) => [id, sink(id)] as const));
    const ended: number[] = [];
    const reader = new ReportReader({
      sinkOf: (id) => sinks.get(id),
      ended: (id) => ended.push(id),
      failed: (_id, _sink, error) => calls.push(error),
    });
    reader.begin(writer.take(1));
    expect(reader.read()).toBe(true);
    expect(calls).toEqual([
      ['admitted', 7, 0, 32],
      [
        'prompt',
        7,
        {
          top: 2,
          chosen: Float64Array.of(-6.005, -9.006),
          topIds: Int32Array.of(6, 7, 9, 10),
          topLogprobs: Float64Array.of(-6, -7, -9, -10),
        },
      ],
      [
        'tokens',
        7,
        0,
        [12, 13],
        {
          top: 1,
          chosen: Float64Array.of(-12.011, -13.012),
          topIds: Int32Array.of(12, 13),
          topLogprobs: Float64Array.of(-12, -13),
        },
      ],
      ['tokens', 8, 3, [20], null],
      ['finished', 7, 0, 'stop', { outputTokens: 3, stopTokenId: 13, rejection: null }],
      ['end', 7, 1],
      ['end', 8, 1],
    ]);
    expect(ended).toEqual([7, 9]);
    expect(writer.empty).toBe(true);
  });

  it('grow with what they have to say', () => {
    const writer = new ReportWriter(LOGPROBS);
    const ids = Int32Array.from({ length: 30_000 }, (_, i) => i);
    writer.tokens(1, 0, ids, 0, ids.length, 3, 0);
    const got: number[] = [];
    const sink: EngineSink = {
      tokens: (_index, words, at, n) => got.push(...words.subarray(at, at + n)),
      admitted: () => {},
      promptLogprobs: () => {},
      finished: () => {},
      stepEnd: () => {},
      failed: () => {},
    };
    const reader = new ReportReader({ sinkOf: () => sink, ended: () => {}, failed: () => {} });
    reader.begin(writer.take(1));
    reader.read();
    expect(got).toEqual([...ids]);
  });
});

it('GREEDY survives the wire', () => {
  const writer = new CommandWriter();
  writer.submit({
    id: 1,
    prompt: Int32Array.of(1),
    outputTokensMax: 1,
    ...REQUEST_DEFAULTS,
    impliedOutputTokens: 5,
  });
  readCommands(writer.take(), {
    submit: (it) => expect(it.sampling).toEqual(GREEDY),
    abort: () => {},
    finish: () => {},
  });
  expect.assertions(1);
});
