import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { scenarioJsonSchemaText } from './json-schema.ts';

// Run after a change of the scenario schema: npx tsx src/config/write-json-schema.ts
const file = fileURLToPath(new URL('../../scenarios/scenario.schema.json', import.meta.url));
writeFileSync(file, scenarioJsonSchemaText());
process.stderr.write(`${file} written\n`);
