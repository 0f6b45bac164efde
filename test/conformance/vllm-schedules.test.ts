import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readRecording, replayRecording } from './recorded-schedule.ts';

const folder = process.env.TWINFER_CONFORMANCE;

/** Every *.jsonl in a folder named `schedules`, at any depth. */
function recordings(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => /(^|[/\\])schedules[/\\][^/\\]+\.jsonl$/.test(path))
    .sort()
    .map((path) => join(root, path));
}

describe.skipIf(folder === undefined)('engine vllm-v1 decides as vLLM did (needs TWINFER_CONFORMANCE)', () => {
  const paths = folder !== undefined && existsSync(folder) ? recordings(folder) : [];

  it('finds recordings', () => {
    expect(paths.length).toBeGreaterThan(0);
  });

  for (const path of paths) {
    it(`${basename(path)}: every step equal`, () => {
      const recording = readRecording(path);
      const own = new Map(replayRecording(recording).map((step) => [step.step, step]));
      for (const step of recording.steps) expect(own.get(step.step), `step ${step.step} of ${path}`).toEqual(step);
    });
  }
});
