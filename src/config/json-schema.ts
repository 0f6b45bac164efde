import { z } from 'zod';
import { scenarioSchema } from './scenario-schema.ts';

/**
 * The JSON schema of scenario files, as editors read it (fields with a default may be left out). It is published as
 * `scenarios/scenario.schema.json`; a test fails when that file differs from this value.
 */
export const scenarioJsonSchema = z.toJSONSchema(scenarioSchema, { io: 'input', target: 'draft-7' });

/** The published file, byte for byte. */
export function scenarioJsonSchemaText(): string {
  return `${JSON.stringify({ title: 'Twinfer scenario', ...scenarioJsonSchema }, null, 2)}\n`;
}
