import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GuardPatchError, parseGuardPatch } from '../../scripts/guards/guard-patch.ts';

const DIFF = '--- a/src/core/clock.ts\n+++ b/src/core/clock.ts\n@@ -1,1 +1,0 @@\n-guard();\n';
const HEADER = '# guard: what is lost\n# file: test/core/clock.test.ts\n# test: refuses a task before now\n';

describe('parseGuardPatch', () => {
  it('reads the header and the files that change', () => {
    expect(parseGuardPatch('clock', `${HEADER}# expect: hang\n\n${DIFF}`)).toEqual({
      name: 'clock',
      guard: 'what is lost',
      testFile: 'test/core/clock.test.ts',
      testName: 'refuses a task before now',
      hangs: true,
      changes: ['src/core/clock.ts'],
    });
  });

  it('expects a failure unless the header says that the test hangs', () => {
    expect(parseGuardPatch('clock', HEADER + DIFF).hangs).toBe(false);
  });

  it.each([
    ['no diff', HEADER, 'test/guards/x.patch: holds no unified diff'],
    ['a missing header', HEADER.replace(/# test.*\n/, '') + DIFF, 'header "# test: ..." is missing'],
    ['an unknown header', `# why: x\n${HEADER}${DIFF}`, 'line 1: "# why: x" is not'],
    ['an unknown expectation', `${HEADER}# expect: smoke\n${DIFF}`, 'expect: "smoke" is not allowed; failure or hang'],
    [
      'a change to a test',
      HEADER + DIFF.replaceAll('src/core/clock.ts', 'test/core/clock.test.ts'),
      'changes test/core',
    ],
    ['a diff without prefixes', HEADER + DIFF.replaceAll(/[ab]\/src/g, 'src'), 'changes no file'],
  ])('names what is wrong: %s', (_what, text, message) => {
    const parse = () => parseGuardPatch('x', text);
    expect(parse).toThrow(GuardPatchError);
    expect(parse).toThrow(message);
  });

  it('reads every committed patch', () => {
    const folder = new URL('../guards/', import.meta.url);
    const patches = readdirSync(folder).filter((file) => file.endsWith('.patch'));
    expect(patches.length).toBeGreaterThan(0);
    for (const file of patches) {
      const patch = parseGuardPatch(file.slice(0, -6), readFileSync(new URL(file, folder), 'utf8'));
      expect(readFileSync(new URL(`../../${patch.testFile}`, import.meta.url), 'utf8')).not.toBe('');
    }
  });
});
