import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { proposeNgram } from '../../src/core/ngram-proposer.ts';

/** One recorded call of vLLM's n-gram proposer. */
interface RecordedProposal {
  readonly tokens: readonly number[];
  readonly ngramMin: number;
  readonly ngramMax: number;
  readonly modelLenMax: number;
  readonly draftTokensMax: number;
  readonly drafts: readonly number[];
}

const folder = process.env['TWINFER_CONFORMANCE'];
const files =
  folder === undefined || !existsSync(folder)
    ? []
    : readdirSync(folder)
        .sort()
        .map((version) => join(folder, version, 'ngram-proposals.json'))
        .filter((file) => existsSync(file));

describe.skipIf(folder === undefined)('n-gram proposals as vLLM makes them (needs TWINFER_CONFORMANCE)', () => {
  it('has recordings in the folder named by TWINFER_CONFORMANCE', () => {
    expect(files, `no */ngram-proposals.json below ${folder}`).not.toHaveLength(0);
  });

  it.each(files)('%s: every proposal is equal', (file) => {
    const cases = JSON.parse(readFileSync(file, 'utf8')) as RecordedProposal[];
    expect(cases.length).toBeGreaterThan(0);
    const into = new Int32Array(256);
    for (const [index, c] of cases.entries()) {
      const tokens = Int32Array.from(c.tokens);
      const count = proposeNgram(
        tokens,
        tokens.length,
        c.ngramMin,
        c.ngramMax,
        c.draftTokensMax,
        c.modelLenMax,
        into,
        0,
      );
      expect(Array.from(into.subarray(0, count)), `case ${index}`).toEqual(c.drafts);
    }
  });
});
