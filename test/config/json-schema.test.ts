import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { engineSchema } from '../../src/config/engine-schema.ts';
import { scenarioJsonSchemaText } from '../../src/config/json-schema.ts';
import { targetSchema } from '../../src/config/target-schema.ts';

const FOLDER = new URL('../../scenarios/', import.meta.url);

describe('the published JSON schema of scenarios', () => {
  it('is what the code checks (else: npx tsx src/config/write-json-schema.ts)', () => {
    const published = JSON.parse(readFileSync(new URL('scenario.schema.json', FOLDER), 'utf8')) as unknown;
    expect(published).toEqual(JSON.parse(scenarioJsonSchemaText()));
  });

  it('describes every field, so that editors have something to show', () => {
    const nameless: string[] = [];
    const visit = (node: Record<string, unknown>, path: string): void => {
      for (const [name, child] of Object.entries(
        (node['properties'] ?? {}) as Record<string, Record<string, unknown>>,
      )) {
        const variants = (child['oneOf'] ?? child['anyOf']) as unknown;
        if (child['description'] === undefined && child['const'] === undefined && variants === undefined) {
          nameless.push(`${path}.${name}`);
        }
        visit(child, `${path}.${name}`);
      }
      for (const child of [...((node['oneOf'] ?? node['anyOf'] ?? []) as Record<string, unknown>[])])
        visit(child, path);
      if (node['items'] !== undefined) visit(node['items'] as Record<string, unknown>, `${path}[]`);
    };
    visit(JSON.parse(scenarioJsonSchemaText()) as Record<string, unknown>, 'scenario');
    expect(nameless).toEqual([]);
  });

  it('lets no section take unknown keys', () => {
    const open: string[] = [];
    const visit = (node: unknown, path: string): void => {
      if (typeof node !== 'object' || node === null) return;
      const schema = node as Record<string, unknown>;
      if (
        schema['type'] === 'object' &&
        schema['properties'] !== undefined &&
        schema['additionalProperties'] !== false
      ) {
        open.push(path);
      }
      for (const [key, child] of Object.entries(schema)) visit(child, `${path}/${key}`);
    };
    visit(JSON.parse(scenarioJsonSchemaText()), '');
    expect(open).toEqual([]);
  });

  it('is named in the first line of every bundled scenario', () => {
    for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'))) {
      const [first] = readFileSync(new URL(file, FOLDER), 'utf8').split('\n');
      expect([file, first]).toEqual([file, '# yaml-language-server: $schema=./scenario.schema.json']);
    }
  });
});

describe('scenarios/README.md', () => {
  it('names every engine setting and every target', () => {
    const readme = readFileSync(new URL('README.md', FOLDER), 'utf8');
    const metrics = targetSchema.options.flatMap((option) => option.shape.metric.options as readonly string[]);
    const names = [...Object.keys(engineSchema.shape), ...metrics];
    expect(names.filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
  });
});
