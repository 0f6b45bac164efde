import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { scenarioJsonSchemaText } from './json-schema.ts';
import { serveJsonSchemaText } from './serve-schema.ts';

// Run after a change of a schema: npx tsx src/config/write-json-schema.ts
const files = { 'scenario.schema.json': scenarioJsonSchemaText(), 'serve.schema.json': serveJsonSchemaText() };
for (const [name, text] of Object.entries(files)) {
  const file = fileURLToPath(new URL(`../../scenarios/${name}`, import.meta.url));
  writeFileSync(file, text);
  process.stderr.write(`${file} written\n`);
}
