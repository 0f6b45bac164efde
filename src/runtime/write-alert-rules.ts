import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { deployedFiles } from '../observability/alerts/index.ts';

// Run after a change of the alert rules: npx tsx src/runtime/write-alert-rules.ts
const folder = fileURLToPath(new URL('../../deploy/prometheus/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const [name, text] of deployedFiles()) writeFileSync(`${folder}${name}`, text);
process.stderr.write(`${folder} written\n`);
