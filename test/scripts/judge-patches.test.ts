import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgePatches, type Verdict } from '../../scripts/guards/judge-patches.ts';
import { REPOSITORY_ROOT } from '../support/repository-files.ts';

const SOURCE = `export function withdraw(balance: number, amount: number): number {
  if (amount > balance) throw new RangeError('not enough');
  return balance - amount;
}
`;
const TEST = `import { expect, it } from 'vitest';
import { withdraw } from '../src/account.ts';
it('refuses more than there is', () => expect(() => withdraw(1, 2)).toThrow(RangeError));
it('gives what there is', () => expect(withdraw(2, 1)).toBe(1));
it('is wrong from the start', () => expect(withdraw(2, 1)).toBe(2));
`;
const GUARD = "-  if (amount > balance) throw new RangeError('not enough');";

function patch(test: string, change: string): string {
  const context = ' export function withdraw(balance: number, amount: number): number {';
  const added = change.split('\n').filter((line) => line.startsWith('+')).length;
  return `# guard: no overdraft
# file: test/account.test.ts
# test: ${test}
--- a/src/account.ts
+++ b/src/account.ts
@@ -1,4 +1,${3 + added} @@
${context}
${change}
   return balance - amount;
 }
`;
}

const PATCHES: Readonly<Record<string, string>> = {
  caught: patch('refuses more than there is', GUARD),
  'not-caught': patch('gives what there is', GUARD),
  'wrong-before': patch('is wrong from the start', GUARD),
  'no-such-test': patch('pays interest', GUARD),
  'does-not-apply': patch('refuses more than there is', '-  if (amount < 0) throw new RangeError();'),
  'does-not-load': patch('refuses more than there is', `${GUARD}\n+  if (amount > balance throw`),
  'no-header': patch('x', GUARD).replace(/^# guard.*\n/, ''),
};

describe('judgePatches', () => {
  let root = '';
  let verdicts: ReadonlyMap<string, Verdict> = new Map();

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'twinfer-judge-'));
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    };
    write('package.json', '{ "type": "module" }');
    write('src/account.ts', SOURCE);
    write('test/account.test.ts', TEST);
    for (const [name, text] of Object.entries(PATCHES)) write(`test/guards/${name}.patch`, text);
    symlinkSync(join(REPOSITORY_ROOT, 'node_modules'), join(root, 'node_modules'), 'dir');
    const list = await judgePatches(root, join(root, 'test/guards'), '');
    verdicts = new Map(list.map((verdict) => [verdict.patch, verdict]));
  });

  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it.each([
    ['caught', true, 'caught'],
    ['not-caught', false, 'NOT CAUGHT'],
    ['wrong-before', false, 'fails without the patch, too'],
    ['no-such-test', false, 'no such test in test/account.test.ts'],
    ['does-not-apply', false, 'does not apply: error: patch failed: src/account.ts'],
    ['does-not-load', false, 'the patched source does not load'],
    ['no-header', false, 'header "# guard: ..." is missing'],
  ])('%s', (name, ok, result) => {
    const verdict = verdicts.get(name);
    expect(verdict?.result).toContain(result);
    expect(verdict?.ok).toBe(ok);
  });
});
