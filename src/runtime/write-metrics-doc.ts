import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { metricsDocument } from '../observability/metrics-doc.ts';

// Run after a change of the catalogue of metrics: npx tsx src/runtime/write-metrics-doc.ts
const file = fileURLToPath(new URL('../../docs/METRICS.md', import.meta.url));
writeFileSync(file, metricsDocument());
process.stderr.write(`${file} written\n`);
