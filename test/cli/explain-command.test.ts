import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RequestStory } from '../../src/observability/explain/index.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import { scratch } from '../runtime/scenarios.ts';
import { capturedCli } from './captured-cli.ts';

const folder = scratch();
const LOG = join(folder, 'run.log.gz');
const REPORT = join(folder, 'out');

beforeAll(async () => {
  const tight = ['--num-gpu-blocks', '700', '--rate-scale', '2', '--limit', '150'];
  const flags = ['--decision-log', LOG, '--out', REPORT, '--quiet'];
  const { code } = await capturedCli(['simulate', 'llama-3.1-8b-h100', ...tight, ...flags], runSimulation);
  expect(code).toBe(0);
});

const explain = (...argv: string[]) => capturedCli(['explain', ...argv]);
const written = (name: string, text: string | Buffer) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const HEADER = (run: object) => `${JSON.stringify({ format: 'twinfer-decisions', version: 2, run })}\n`;
const ENGINE = { engine: { blocksTotal: 9, blockSize: 4, sequencesMax: 2 } };

describe('twinfer explain', () => {
  it('begins with what took longest, then where the time went, then how it came to that', async () => {
    const { code, stdout, stderr } = await explain('140', '--decision-log', LOG);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^Request 140 took [\d.]+ m?s, first token after [\d.]+ m?s\. Of its time went \d+ % \(/);
    expect(stdout).toContain('where the time went');
    expect(stdout).toMatch(/^- It arrived at [\d.]+ s with \d+ prompt tokens?/m);
    expect(stdout).toMatch(/^- It ended as "length" with \d+ tokens\.$/m);
  });

  it('tells as JSON what the records of the same run tell', async () => {
    const { readFileSync } = await import('node:fs');
    const [head, ...rows] = readFileSync(join(REPORT, 'requests.csv'), 'utf8').trimEnd().split('\n');
    const columns = head!.split(',');
    for (const id of [0, 75, 149]) {
      const { stdout } = await explain(String(id), '--decision-log', LOG, '--json');
      const story = JSON.parse(stdout) as RequestStory & { readonly sentences: readonly string[] };
      const row = rows.map((each) => each.split(',')).find((each) => each[0] === String(id))!;
      const of = (name: string) => Number(row[columns.indexOf(name)]);
      expect(story.totalMs).toBeCloseTo((of('finishedNs') - of('arrivalNs')) / 1e6, 6);
      expect(story.ttftMs).toBeCloseTo((of('firstTokenNs') - of('arrivalNs')) / 1e6, 6);
      expect(story.queueMs).toBeCloseTo((of('admittedNs') - of('arrivalNs')) / 1e6, 6);
      expect(story.outputTokens).toBe(of('outputTokens'));
      expect(story.preemptions).toHaveLength(of('preemptions'));
      expect(story.sentences.length).toBeGreaterThan(2);
    }
  });

  it('names the nearest requests where there is none', async () => {
    expect(await explain('9999', '--decision-log', LOG)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: `request 9999.0 is not in ${LOG}; nearest: 149, 148, 147\n`,
    });
    const { code, stderr } = await explain('3.1', '--decision-log', LOG);
    expect([code, stderr]).toEqual([2, `request 3.1 is not in ${LOG}; it has the sequences 3.0 to 3.0\n`]);
  });

  it.each([
    ['no number', ['many', '--decision-log', LOG], 'request: "many" is not allowed; allowed: the number of a request'],
    ['a negative one', ['1.x', '--decision-log', LOG], 'request: "1.x" is not allowed'],
    ['no log', ['1'], "required option '--decision-log <file>' not specified"],
    [
      'a log that is not there',
      ['1', '--decision-log', '/no/such'],
      '--decision-log /no/such: no such file or directory',
    ],
    ['a folder', ['1', '--decision-log', 'src'], '--decision-log src: is a directory, not a file'],
    [
      'another file',
      ['1', '--decision-log', 'package.json'],
      '--decision-log package.json: is no decision log of Twinfer',
    ],
  ])('refuses %s', async (_name, argv, message) => {
    const { code, stdout, stderr } = await explain(...argv);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
  });

  it.each([
    ['of version 1', HEADER(ENGINE).replace('"version":2', '"version":1'), 'format version 1 is not known; allowed: 2'],
    ['without an engine', HEADER({}), 'its header does not describe an engine'],
    ['that is text', `${HEADER(ENGINE)}hello\n`, ':2: is no line of a decision log'],
    [
      'with holes',
      `${HEADER(ENGINE)}{"step":0,"ns":0,"decode":1,"in":["7.0"]}\n`,
      ':2: 7.0 did not arrive before it is named',
    ],
    ['that is empty', HEADER(ENGINE), 'request 1.0 is not in'],
    ['that is cut gzip', gzipSync(HEADER(ENGINE)).subarray(0, 40), 'is gzip that ends too early'],
  ])('refuses a log %s', async (_name, text, message) => {
    const { code, stderr } = await explain('1', '--decision-log', written('bad.log', text));
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it('reads a log that was cut off, and says that the request goes on', async () => {
    const lines = [
      '{"step":0,"ns":0,"decode":0,"newBlocks":2,"prefill":[["0.0",8]],"arrived":[["0.0",0,8,100]],"admitted":[["0.0",0,"no-entry",2]]}',
      '{"step":1,"times":3,"ns":1000000,"lastNs":3000000,"decode":1,"firstTokens":[["0.0",1000000]]}',
      '{"step":4,"ns":4000000,"decode":1}',
    ];
    const { code, stdout } = await explain(
      '0',
      '--decision-log',
      written('cut.log', HEADER(ENGINE) + lines.join('\n')),
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Request 0 is running since 4\.00 ms, first token after 1\.00 ms\./);
  });
});
