import { describe, expect, it } from 'vitest';
import {
  H100_SXM,
  SimulatedBackend,
  SyntheticProbabilities,
  TextWriter,
} from '../../../src/backends/simulated/index.ts';
import {
  ArrayTokens,
  Engine,
  type EngineConfig,
  engineConfig,
  GREEDY,
  NgramProposer,
  Request,
  type SamplingParameters,
  VirtualClock,
} from '../../../src/core/index.ts';
import { MEMORY, TIMING } from './device-driver.ts';

const EOS = 999;
const TEXT = {
  ids: Int32Array.from({ length: 60 }, (_, i) => 100 + (i % 20)),
  sentenceStarts: Int32Array.of(0, 7, 20, 33, 51),
  eosTokenId: EOS,
};
const SPECULATION = {
  draftTokensMax: 4,
  lookaheadTokens: 0,
  runningOffMin: 1000,
  runningOnMax: 1000,
  acceptanceOffMax: 0,
  acceptanceOnMin: 0,
  retrySteps: 10,
};

interface Asked {
  readonly id: number;
  readonly prompt: readonly number[];
  readonly output: number;
  readonly sampling?: Partial<SamplingParameters>;
  readonly implied?: number;
}

/** Runs the requests and returns each one's tokens and how it ended, one entry per sequence, and what the engine counted. */
function run(changes: Partial<EngineConfig>, asked: readonly Asked[]) {
  const config = engineConfig('twinfer', {
    blocksTotal: 200,
    sequencesMax: 8,
    eosTokenIds: [EOS],
    checkIntervalNs: 0,
    ...changes,
  });
  const clock = new VirtualClock();
  const backend = new SimulatedBackend({
    clock,
    device: H100_SXM,
    tensorParallel: 1,
    memory: { ...MEMORY, blocksTotal: config.blocksTotal },
    timing: TIMING,
    stepsInFlight: config.stepsInFlight,
    stepsMax: 1,
    acceptance: null,
    faults: null,
    writer: new TextWriter(TEXT, 1, config.sequencesMax),
  });
  const proposer =
    config.speculation === null
      ? null
      : new NgramProposer({ ngramMin: 1, ngramMax: 3, modelLenMax: config.modelLenMax });
  let preemptions = 0;
  const engine = new Engine({ config, backend, clock, proposer });
  const got = new Map<string, { tokens: number[]; reason: string }>();
  for (const { id, prompt, output, sampling, implied } of asked) {
    const request = new Request(id, 0, {
      prompt: new ArrayTokens(Int32Array.from(prompt)),
      outputTokensMax: output,
      sampling: { ...GREEDY, ...sampling },
      impliedOutputTokens: implied ?? Number.POSITIVE_INFINITY,
    });
    engine.submit(request, {
      tokens() {},
      finished(sequence, reason) {
        preemptions += sequence.preemptions;
        const tokens = [...(sequence.output?.subarray(0, sequence.outputTokens) ?? [])];
        got.set(`${id}.${sequence.index}`, { tokens, reason });
      },
    });
  }
  clock.run();
  engine.check(clock.nowNs());
  return { got, preemptions, steps: engine.totals.steps, used: engine.kv.pool.used };
}

const prompt = (length: number, salt: number) => Array.from({ length }, (_, i) => 3 + ((i * 7 + salt) % 50));
const MANY: readonly Asked[] = Array.from({ length: 20 }, (_, i) => ({
  id: i + 1,
  prompt: prompt(20 + 9 * i, i),
  output: 40 + (i % 7) * 30,
}));

describe('a simulated device whose tokens have ids', () => {
  const reference = run({ sequencesMax: 1 }, MANY).got;

  it.each<[string, Partial<EngineConfig>]>([
    ['batches', {}],
    ['two steps in flight', { stepsInFlight: 2 }],
    ['chunks', { tokensPerStepMax: 32 }],
    ['memory pressure', { blocksTotal: 40, capacity: 'as-needed' }],
    ['drafts from the text', { speculation: SPECULATION }],
  ])('gives each request the tokens that it gets alone: %s', (name, changes) => {
    const { got, preemptions, steps, used } = run(changes, MANY);
    expect(got).toEqual(reference);
    expect(used).toBe(0);
    if (name === 'memory pressure') expect(preemptions).toBeGreaterThan(0);
    if (name === 'drafts from the text') expect(steps).toBeLessThan(0.8 * run({}, MANY).steps);
  });

  it('begins at a sentence that follows from prompt and seed', () => {
    const ask = (id: number, sampling: Partial<SamplingParameters>) => ({
      id,
      prompt: prompt(30, 5),
      output: 10,
      sampling,
    });
    const { got } = run({}, [
      ask(1, {}),
      ask(2, {}),
      ask(3, { temperature: 1, seed: 4 }),
      ask(4, { temperature: 1, seed: 4 }),
    ]);
    const first = (key: string) =>
      TEXT.sentenceStarts.findIndex((start) =>
        got.get(key)!.tokens.every((id, i) => id === TEXT.ids[(start + i) % 60]),
      );
    for (const key of got.keys()) expect(first(key)).toBeGreaterThanOrEqual(0);
    expect(got.get('1.0')).toEqual(got.get('2.0'));
    expect(got.get('3.0')).toEqual(got.get('4.0'));
  });

  it('ends by itself with the end-of-sequence token where that is implied, unless it is to be ignored', () => {
    const ask = (id: number, sampling: Partial<SamplingParameters>) => ({
      id,
      prompt: prompt(9, id),
      output: 30,
      sampling,
      implied: 12,
    });
    const { got } = run({}, [
      ask(1, { ignoreEos: false }),
      ask(2, { ignoreEos: true }),
      ask(3, { ignoreEos: false, outputTokensMin: 20 }),
    ]);
    expect(got.get('1.0')).toMatchObject({ reason: 'stop' });
    expect(got.get('1.0')!.tokens.length).toBe(12);
    expect(got.get('1.0')!.tokens.at(-1)).toBe(EOS);
    expect(got.get('2.0')).toMatchObject({ reason: 'length' });
    expect(got.get('2.0')!.tokens).not.toContain(EOS);
    expect(got.get('3.0')!.tokens.length).toBe(20);
  });

  it('gives siblings answers of their own, and stops at a stop token', () => {
    const { got } = run({}, [
      { id: 1, prompt: prompt(40, 1), output: 15, sampling: { n: 6 } },
      { id: 2, prompt: prompt(40, 2), output: 60, sampling: { stopTokenIds: [105], ignoreEos: false } },
    ]);
    const answers = new Set(Array.from({ length: 6 }, (_, i) => got.get(`1.${i}`)!.tokens.join()));
    expect(answers.size).toBeGreaterThan(1);
    expect(got.get('2.0')).toMatchObject({ reason: 'stop' });
    expect(got.get('2.0')!.tokens.indexOf(105)).toBe(got.get('2.0')!.tokens.length - 1);
  });
});

describe('synthetic probabilities', () => {
  it('have the form that clients rely on', () => {
    const probabilities = new SyntheticProbabilities(500);
    for (let token = 0; token < 500; token++) {
      const ids = new Int32Array(8);
      const values = new Float64Array(8);
      probabilities.alternatives(token, (token * 31) % 500, 8, ids, 0, values, 0);
      expect(ids[0]).toBe(token);
      expect(values[0]).toBe(probabilities.chosen(token, (token * 31) % 500));
      expect(new Set(ids).size).toBe(8);
      expect([...values].every((value, i) => value > 0 && (i === 0 || value < values[i - 1]!))).toBe(true);
      expect(values.reduce((sum, value) => sum + value, 0)).toBeLessThanOrEqual(1);
    }
  });
});
