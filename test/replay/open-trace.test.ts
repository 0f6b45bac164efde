import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openTrace } from '../../replay/open-trace.ts';
import { DATA, errorOf, facts, readAll, readTrace, traceFile, WHY_SKIPPED } from './traces.ts';

const HEADER = 'TIMESTAMP,ContextTokens,GeneratedTokens\n';

/** A row every second; row i (from 1) has a prompt of 10 i tokens and an output of i. */
function azure(rows: number, lineEnd = '\n'): string {
  let text = HEADER.trim() + lineEnd;
  for (let i = 1; i <= rows; i++) {
    text += `2024-05-10 ${new Date((i - 1) * 1000).toISOString().slice(11, 19)}+00:00,${10 * i},${i}${lineEnd}`;
  }
  return text;
}

function jsonl(rows: number): string {
  const lines = Array.from({ length: rows }, (_, i) => ({
    arrival_s: i / 8,
    prompt_tokens: 40 + (i % 900),
    output_tokens: 1 + (i % 30),
    prefix: [{ stream: i % 7, tokens: 32 }],
  }));
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

async function outputs(content: string | Buffer, options = {}): Promise<number[]> {
  const { requests } = await readTrace(traceFile(content), options);
  return requests.map((request) => request.outputTokensMax);
}

describe('files', () => {
  it('may have CRLF, a byte order mark, empty lines and no last line end', async () => {
    const expected = await outputs(azure(5));
    expect(expected).toEqual([1, 2, 3, 4, 5]);
    expect(await outputs(azure(5, '\r\n'))).toEqual(expected);
    expect(await outputs(`\uFEFF${azure(5)}`)).toEqual(expected);
    expect(await outputs(azure(5).trimEnd())).toEqual(expected);
    expect(await outputs(azure(5, '\r\n').trimEnd())).toEqual(expected);
    expect(await outputs(azure(5).replace('10,1\n', '10,1\n\n\r\n'))).toEqual(expected);
    expect(await outputs(`\uFEFF${jsonl(1).trimEnd()}`)).toEqual([1]);
  });

  it.each([
    ['a missing file', '/nowhere/trace.csv', 'no such file'],
    ['a folder', '/tmp', 'is a directory'],
  ])('%s is one line', (_, path, problem) => {
    expect(() => openTrace(path)).toThrow(`${path}: ${problem}; allowed: a readable trace file`);
  });

  it('an empty file, an unknown one and one without rows are named', async () => {
    expect((await errorOf(''))?.message).toMatch(/: is empty; allowed: azure-csv: TIMESTAMP/);
    expect((await errorOf(gzipSync('')))?.message).toMatch(/: is empty; allowed: /);
    expect((await errorOf('a,b,c\n1,2,3\n'))?.message).toMatch(
      /:1:1: first line of no known format, value is a,b,c; allowed: azure-csv: /,
    );
    expect((await errorOf(HEADER))?.message).toMatch(
      /: no usable row \(0 rows read, 0 bad\); allowed: at least one request$/,
    );
    expect((await errorOf(azure(4), { window: { startS: 100, endS: 200 } }))?.message).toMatch(
      /no row lies inside the window/,
    );
  });

  it('a gzip file gives what the plain one gives', async () => {
    for (const text of [azure(5000), jsonl(5000)]) {
      const plain = await readTrace(traceFile(text));
      const packed = await readTrace(traceFile(gzipSync(text)));
      expect(packed.requests.length).toBe(5000);
      expect(packed.requests.map(facts)).toEqual(plain.requests.map(facts));
    }
  });

  it('a gzip file of several members is read to its end', async () => {
    const text = azure(100);
    const middle = text.indexOf('\n', 1500) + 1;
    const content = Buffer.concat([gzipSync(text.slice(0, middle)), gzipSync(text.slice(middle))]);
    expect((await outputs(content)).length).toBe(100);
  });

  it('a truncated or damaged gzip file is an error, not a shorter trace', async () => {
    const packed = gzipSync(jsonl(20_000));
    for (const end of [packed.length - 9, Math.floor(packed.length / 2), 20_000]) {
      expect((await errorOf(packed.subarray(0, end)))?.message).toMatch(
        /unexpected end of file .*; allowed: a whole gzip file$/,
      );
    }
    const damaged = Buffer.from(packed);
    damaged.fill(0xff, packed.length >> 1, (packed.length >> 1) + 64);
    expect((await errorOf(damaged))?.name).toBe('TraceError');
  });

  it('lines that cross the reads are whole, wherever they are cut', async () => {
    const row = (bytes: number): string => {
      const line = `{"timestamp":0,"input_length":5,"output_length":3,"hash_ids":[1],"note":"`;
      return `${line}${'x'.repeat(Math.max(0, bytes - line.length - 3))}"}\n`;
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 80, max: 150_000 }), { minLength: 1, maxLength: 6 }),
        async (sizes) => {
          // The first line has to fit the part that the format is detected from.
          const text = [100, ...sizes].map(row).join('');
          expect((await outputs(text)).length).toBe(sizes.length + 1);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('a line without end is an error, not a growing buffer', async () => {
    const error = await errorOf(jsonl(1) + 'x'.repeat((1 << 24) + 10));
    expect(error?.message).toMatch(/:2:1: line is longer than 16777216 bytes/);
  });
});

describe('bad rows', () => {
  const text = azure(8).replace('30,3\n', '30,-3\n').replace('60,6\n', 'x,6\n');

  it('stop the replay', async () => {
    expect((await errorOf(text))?.message).toMatch(/:4:30: field "GeneratedTokens": value is -3; allowed: /);
  });

  it('are counted and kept when they are skipped; the others keep their content', async () => {
    const { requests, workload } = await readTrace(traceFile(text), { skipBad: true });
    expect(workload.badRows).toBe(2);
    expect(workload.rows).toBe(8);
    expect(workload.badRowMessages.map((message) => /:(\d+:\d+): field "(\w+)"/.exec(message)!.slice(1))).toEqual([
      ['4:30', 'GeneratedTokens'],
      ['7:27', 'ContextTokens'],
    ]);
    const { requests: whole } = await readTrace(traceFile(azure(8)));
    expect(requests.map(facts)).toEqual(whole.filter((_, i) => i !== 2 && i !== 5).map(facts));
  });

  it('keep a few messages only', async () => {
    const bad = `${HEADER}2024-05-10 00:00:00,1,1\n${'nonsense\n'.repeat(50)}`;
    const { workload } = await readTrace(traceFile(bad), { skipBad: true });
    expect(workload.badRows).toBe(50);
    expect(workload.badRowMessages.length).toBe(5);
  });

  it('alone are no workload', async () => {
    expect((await errorOf(`${HEADER}nonsense\n`, { skipBad: true }))?.message).toMatch(
      /no usable row \(1 rows read, 1 bad\)/,
    );
  });
});

describe('options', () => {
  it('a rate of k divides the intervals by k, a time scale multiplies them', async () => {
    const arrivals = async (options: object): Promise<number[]> => {
      const { requests } = await readTrace(traceFile(azure(4)), options);
      return requests.map((request) => request.arrivalNs);
    };
    expect(await arrivals({ rateScale: 4 })).toEqual([0, 0.25e9, 0.5e9, 0.75e9]);
    expect(await arrivals({ timeScale: 3 })).toEqual([0, 3e9, 6e9, 9e9]);
    expect(await arrivals({ rateScale: 3 })).toEqual([0, 333_333_333, 666_666_667, 1e9]);
  });

  it('a window takes part of the trace, begins at 0, and ends before its end', async () => {
    const { requests } = await readTrace(traceFile(azure(20)), { window: { startS: 5, endS: 8 }, rateScale: 2 });
    expect(requests.map((request) => request.outputTokensMax)).toEqual([6, 7, 8]);
    expect(requests.map((request) => request.arrivalNs)).toEqual([0, 0.5e9, 1e9]);
  });

  it('a window changes no content', async () => {
    const path = traceFile(jsonl(200));
    const { requests: all } = await readTrace(path);
    const { requests: part } = await readTrace(path, { window: { startS: 5, endS: 10 } });
    const content = (request: (typeof all)[number]): unknown => ({ ...(facts(request) as object), arrivalNs: 0 });
    expect(part.map(content)).toEqual(all.slice(40, 80).map(content));
  });

  it('a limit ends the trace, and nothing after it is read', async () => {
    const text = `${azure(10)}nonsense\n`;
    expect(await outputs(text, { limit: 4 })).toEqual([1, 2, 3, 4]);
    expect(await outputs(text, { window: { startS: 0, endS: 9 } })).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('lengths are cut to their limits', async () => {
    const { requests } = await readTrace(traceFile(azure(6)), { promptTokensMax: 35, outputTokensMax: 2 });
    expect(requests.map((request) => request.prompt.length)).toEqual([10, 20, 30, 35, 35, 35]);
    expect(requests.map((request) => request.outputTokensMax)).toEqual([1, 2, 2, 2, 2, 2]);
  });

  it('a cut prompt goes on with its own output, not with shared content', async () => {
    const ids = (last: number): string =>
      `{"timestamp":0,"input_length":1536,"output_length":9,"hash_ids":[1,2,${last}]}\n`;
    const { requests } = await readTrace(traceFile(ids(3) + ids(3)), { promptTokensMax: 700 });
    const tokens = requests.map((request) => {
      const into = new Int32Array(732);
      request.prompt.copy(0, 732, into, 0);
      return [...into];
    });
    expect(tokens[0]!.slice(0, 700)).toEqual(tokens[1]!.slice(0, 700));
    expect(tokens[0]!.slice(700)).not.toEqual(tokens[1]!.slice(700));
  });

  it.each([
    [{ rateScale: 0 }, 'rateScale: 0 is not allowed; a finite number above 0'],
    [{ rateScale: Number.NaN }, 'rateScale: NaN'],
    [{ timeScale: -1 }, 'timeScale: -1'],
    [{ limit: 0 }, 'limit: 0 is not allowed; an integer of at least 1'],
    [{ promptTokensMax: 1.5 }, 'promptTokensMax: 1.5'],
    [{ window: { startS: 5, endS: 5 } }, 'window: 5..5'],
  ])('%j is refused', (options, message) => {
    expect(() => openTrace(traceFile(azure(2)), options)).toThrow(message);
  });
});

describe('streaming', () => {
  it.each(['plain', 'packed'])('a million %s rows leave the heap as it was', async (kind) => {
    const path = traceFile('');
    const file = openSync(path, 'w');
    const pack = (text: string): Buffer => (kind === 'packed' ? gzipSync(text, { level: 1 }) : Buffer.from(text));
    writeSync(file, pack(HEADER));
    for (let hour = 0; hour < 20; hour++) {
      let text = '';
      for (let i = 0; i < 50_000; i++) {
        text += `2024-05-10 ${String(hour).padStart(2, '0')}:00:00.${String(i).padStart(6, '0')},${1 + (i % 4000)},7\n`;
      }
      writeSync(file, pack(text));
    }
    closeSync(file);
    const workload = openTrace(path);
    let requests = 0;
    let largestBatch = 0;
    let peak = 0;
    const before = process.memoryUsage().heapUsed;
    for (let batch = await workload.next(); batch !== null; batch = await workload.next()) {
      requests += batch.length;
      largestBatch = Math.max(largestBatch, batch.length);
      peak = Math.max(peak, process.memoryUsage().heapUsed);
    }
    expect(requests).toBe(1_000_000);
    expect(largestBatch).toBeLessThan(5000);
    // Kept, a million requests would be 250 MB.
    expect(peak - before).toBeLessThan(100e6);
  });

  it('close may come at any time, more than once', async () => {
    for (const content of [azure(5000), gzipSync(azure(5000))]) {
      const workload = openTrace(traceFile(content));
      expect(await workload.next()).not.toBeNull();
      workload.close();
      workload.close();
    }
    openTrace(traceFile(gzipSync(azure(5)))).close();
  });

  it('says how far it is', async () => {
    const workload = openTrace(traceFile(gzipSync(jsonl(50_000))));
    expect(workload.bytesRead).toBe(0);
    await readAll(workload);
    expect(workload.bytesRead).toBe(workload.bytesTotal);
    expect(workload.afterFinished(0)).toBeNull();
    expect(await workload.next()).toBeNull();
  });
});

describe.skipIf(DATA === undefined)(`public traces, packed${WHY_SKIPPED}`, () => {
  it('a packed Azure trace is the plain one', async () => {
    const path = join(DATA!, 'traces/azure-2023/AzureLLMInferenceTrace_code.csv');
    const plain = await readTrace(path);
    const packed = await readTrace(traceFile(gzipSync(readFileSync(path))));
    expect(packed.requests.map(facts)).toEqual(plain.requests.map(facts));
  });
});
