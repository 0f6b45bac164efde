import { describe, expect, it } from 'vitest';
import { openApiDocument } from '../../../src/gateway/api/index.ts';
import { ALERT_RULES, runbookUrl, SLO_RULES } from '../../../src/observability/alerts/index.ts';
import { CATALOGUE } from '../../../src/observability/index.ts';
import { headingAnchors } from '../../support/markdown.ts';
import { readRepositoryFile } from '../../support/repository-files.ts';

const operations = readRepositoryFile('OPERATIONS.md');
const runbook = operations.slice(operations.indexOf('\n## Runbook\n'));
const names = [...ALERT_RULES, ...SLO_RULES].map((rule) => rule.name);

/** The text under an alert's heading. */
function section(alert: string): string {
  return runbook.split(/^### /m).find((text) => text.startsWith(`${alert}\n`)) ?? '';
}

describe('the runbook in OPERATIONS.md', () => {
  it.each(names)('%s: its link leads to a section with symptom, checks, causes and action', (alert) => {
    const [document, anchor] = runbookUrl(alert).split('#');
    expect(headingAnchors(readRepositoryFile(document!))).toContain(anchor);
    const parts = [...section(alert).matchAll(/^\*\*(\w+)\.\*\*\s+(\S+)/gm)].map((match) => match[1]);
    expect(parts).toEqual(['Symptom', 'Checks', 'Causes', 'Action']);
  });

  it('has sections on alerts only', () => {
    expect([...runbook.matchAll(/^### (.+)$/gm)].map((match) => match[1]).sort()).toEqual([...names].sort());
  });

  it('names only metrics that exist', () => {
    const prefixes =
      /^(scheduler|kv_cache|prefix_cache|gpu|gateway|speculative|request|event_loop|engine|tokenizer)_\w+$/;
    const metrics = new Set<string>(CATALOGUE.map((metric) => metric.name));
    const named = [...runbook.matchAll(/`([a-z_]+)(?:\{[^`]*\})?`/g)].map((match) => match[1]!);
    expect(named.filter((name) => prefixes.test(name)).length).toBeGreaterThan(30);
    expect(named.filter((name) => prefixes.test(name) && !metrics.has(name))).toEqual([]);
  });

  it('sends nobody to a page that is not there', () => {
    const paths = Object.keys((openApiDocument({ version: '0' }) as { paths: object }).paths).map((path) =>
      path.replace(/\{.*/, ''),
    );
    const named = [...runbook.matchAll(/(?:\$URL|POST )(\/[\w/]*)/g)].map((match) => match[1]!.replace(/BLOCK$/, ''));
    expect(named.length).toBeGreaterThan(15);
    expect(named.filter((path) => !paths.includes(path))).toEqual([]);
  });
});
