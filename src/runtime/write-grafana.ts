import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { grafanaDashboard } from '../observability/dashboard/grafana-dashboard.ts';

// Run after a change of panels, catalogue or thresholds: npx tsx src/runtime/write-grafana.ts
const folder = fileURLToPath(new URL('../../deploy/grafana/', import.meta.url));
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}twinfer.json`, grafanaDashboard());
process.stderr.write(`${folder}twinfer.json written\n`);
