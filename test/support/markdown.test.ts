import { describe, expect, it } from 'vitest';
import { headingAnchors, linksOf, runnableCommands, testReferences } from './markdown.ts';

describe('markdown', () => {
  it('finds links in prose, and none in code', () => {
    const text = '[a](A.md#one "title") ![b](b.png)\n`[c](c)`\n```sh\n[d](d)\n```\n[e](e.md)';
    expect(linksOf(text)).toEqual(['A.md#one', 'b.png', 'e.md']);
  });

  it('makes anchors of headings as GitHub does', () => {
    expect(headingAnchors('# Requests, and the books\n```\n# no\n```\n## `code` (2)')).toEqual([
      'requests-and-the-books',
      'code-2',
    ]);
  });

  it('takes commands from runnable blocks only', () => {
    const text = '```sh\nnpm ci\n```\n```sh runnable\n# a comment\nnpx twinfer simulate a.yaml --limit 2\n```';
    expect(runnableCommands(text)).toEqual(['npx twinfer simulate a.yaml --limit 2']);
  });

  it('refuses shell syntax in them', () => {
    expect(() => runnableCommands('```sh runnable\nnpx twinfer a | jq .\n```')).toThrow('"npx twinfer a | jq ."');
  });

  it('reads file and name of a test from a table cell', () => {
    expect(testReferences('| a | `test/a.test.ts`: does this; `test/b.test.ts`: does that |')).toEqual([
      { file: 'test/a.test.ts', name: 'does this' },
      { file: 'test/b.test.ts', name: 'does that' },
    ]);
  });
});
