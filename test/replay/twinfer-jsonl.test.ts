import { describe, expect, it } from 'vitest';
import { GREEDY, labelNumber } from '../../src/core/index.ts';
import { blockKeys, errorOf, readTrace, traceFile } from './traces.ts';

const ROW = { arrival_s: 0, prompt_tokens: 64, output_tokens: 8 };

function lines(...rows: object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
}

async function read(...rows: object[]) {
  const { requests, workload } = await readTrace(traceFile(lines(...rows)));
  expect(workload.format).toBe('twinfer-jsonl');
  return requests;
}

describe('Twinfer JSONL', () => {
  it('reads seconds and nanoseconds', async () => {
    const requests = await read(
      { ...ROW, arrival_s: 1.5 },
      { arrival_ns: 2_000_000_001, prompt_tokens: 1, output_tokens: 1 },
    );
    expect(requests.map((request) => request.arrivalNs)).toEqual([0, 500_000_001]);
  });

  it('tells a forced length from one that the model ends', async () => {
    const [forced, ended, endedWithoutLimit] = await read(
      ROW,
      { ...ROW, max_tokens: 100 },
      { ...ROW, ignore_eos: false },
    );
    expect(forced).toMatchObject({
      outputTokensMax: 8,
      impliedOutputTokens: Number.POSITIVE_INFINITY,
      sampling: GREEDY,
    });
    expect(ended).toMatchObject({ outputTokensMax: 100, impliedOutputTokens: 8 });
    expect(ended!.sampling).toEqual({ ...GREEDY, ignoreEos: false });
    expect(endedWithoutLimit).toMatchObject({ outputTokensMax: 8, impliedOutputTokens: 8 });
  });

  it('shares prefixes by stream and stretch', async () => {
    const prefix = [{ stream: 5, tokens: 32 }];
    const [a, b, later, private_] = await read(
      { ...ROW, prefix },
      { ...ROW, prefix },
      { ...ROW, prefix: [{ stream: 5, tokens: 32, offset: 32 }] },
      ROW,
    );
    const keys = [a, b, later, private_].map((request) => blockKeys(request!, 16));
    expect(keys[1]!.slice(0, 2)).toEqual(keys[0]!.slice(0, 2));
    expect(keys[1]![2]).not.toBe(keys[0]![2]);
    expect(keys[2]!.some((key) => keys[0]!.includes(key))).toBe(false);
    expect(keys[3]!.some((key) => keys[0]!.includes(key))).toBe(false);
  });

  it('lets a conversation grow on its stream: the second prompt repeats the first one and its output', async () => {
    const prefix = [{ stream: 1, tokens: 600 }];
    const [first, second] = await read(
      { arrival_s: 0, prompt_tokens: 700, output_tokens: 120, prefix, stream: 40 },
      { arrival_s: 9, prompt_tokens: 870, output_tokens: 200, prefix, stream: 40 },
    );
    const said = new Int32Array(820);
    const repeated = new Int32Array(820);
    first!.prompt.copy(0, 820, said, 0);
    second!.prompt.copy(0, 820, repeated, 0);
    expect(repeated).toEqual(said);
  });

  it('gives equal names of sessions equal numbers, whatever else is in the file', async () => {
    const requests = await read(ROW, { ...ROW, session: 'b' }, { ...ROW, session: 'a' }, { ...ROW, session: 'b' });
    expect(requests.map(({ session }) => session)).toEqual([0, ...['b', 'a', 'b'].map(labelNumber)]);
    await expect(read({ ...ROW, session: '' })).rejects.toThrow(/session.*a string of 1 to 256 characters/);
  });

  it('numbers salts by text, and leaves no salt at 0', async () => {
    const requests = await read(
      ROW,
      { ...ROW, cache_salt: 'b' },
      { ...ROW, cache_salt: 'a' },
      { ...ROW, cache_salt: 'b' },
    );
    const salts = requests.map((request) => request.cacheSalt);
    expect(salts[0]).toBe(0);
    expect(salts[1]).toBe(salts[3]);
    expect(new Set(salts).size).toBe(3);
  });

  it('carries priority, timeout and sampling, for that row only', async () => {
    const [rich, plain] = await read(
      { ...ROW, priority: -2, timeout_s: 1.5, n: 2, temperature: 0.7, top_p: 0.9, top_k: 40, seed: 11, min_tokens: 3 },
      ROW,
    );
    expect(rich).toMatchObject({ priority: -2, timeoutNs: 1_500_000_000 });
    expect(rich!.sampling).toEqual({
      ...GREEDY,
      n: 2,
      temperature: 0.7,
      topP: 0.9,
      topK: 40,
      seed: 11,
      outputTokensMin: 3,
    });
    expect(plain).toMatchObject({ priority: 0, timeoutNs: Number.POSITIVE_INFINITY, sampling: GREEDY });
  });

  it.each([
    [{ ...ROW, prompt_tokens: 0 }, 'field "prompt_tokens": value is 0; allowed: an integer from 1 to 16777216'],
    [{ ...ROW, output_tokens: '8' }, 'field "output_tokens": value is 8; allowed: '],
    [{ arrival_s: 0, prompt_tokens: 4 }, 'field "output_tokens": value is missing; allowed: '],
    [{ ...ROW, arrival_ns: 0 }, 'field "arrival_s": value is 0; allowed: one of arrival_s and arrival_ns'],
    [{ ...ROW, prompts: 4 }, 'field "prompts": is unknown; allowed: arrival_s, '],
    [{ ...ROW, ignore_eos: 1 }, 'field "ignore_eos": value is 1; allowed: true or false'],
    [{ ...ROW, ignore_eos: true, max_tokens: 9 }, 'field "max_tokens": value is 9; allowed: output_tokens (8) '],
    [
      { ...ROW, prefix: [{ stream: 1, tokens: 65 }] },
      'field "prefix": value is [{"stream":1,"tokens":65}]; allowed: at most ',
    ],
    [{ ...ROW, prefix: [{ stream: -1, tokens: 5 }] }, 'field "prefix": value is {"stream":-1,"tokens":5}; allowed: '],
    [{ ...ROW, prefix: [7] }, 'field "prefix": value is 7; allowed: '],
    [{ ...ROW, stream_offset: 7 }, 'field "stream_offset": value is 7; allowed: only together with stream'],
    [{ ...ROW, timeout_s: 0 }, 'field "timeout_s": value is 0; allowed: '],
  ])('explains what is wrong with %j', async (row, message) => {
    const error = await errorOf(lines(ROW, row));
    expect(error?.message).toContain(message);
    expect(error?.message).toMatch(/:2:\d+: /);
    const [, column] = /:2:(\d+): /.exec(error!.message)!;
    const field = /field "(\w+)"/.exec(error!.message)![1]!;
    const text = JSON.stringify(row);
    // The column is that of the value (of the key, when the key itself is wrong).
    if (field in row && field !== 'prompts')
      expect(text.slice(0, Number(column) - 1)).toMatch(new RegExp(`"${field}":$`));
  });
});
