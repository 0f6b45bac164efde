import { mkdirSync, openSync, closeSync, writeSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineEvents } from '../core/index.ts';
import { RequestRecords } from '../simulation/report/request-records.ts';
import type { RecordedRun } from '../simulation/run-recorder.ts';
import type { RunSummary } from '../simulation/run-summary.ts';
import type { RunSpec, Verification } from './run-spec.ts';

export interface RunOutput {
  readonly records: RequestRecords | null;
  readonly decisions: EngineEvents | null;
  close(run: RecordedRun, summary: RunSummary): string[];
  verification(): Verification | null;
  abandon(): void;
}

export function openOutput(spec: RunSpec): RunOutput {
  const directory = spec.output.directory;
  if (directory === null) return { records: null, decisions: null, close: () => [], verification: () => null, abandon() {} };
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'requests.csv');
  const handle = openSync(file, 'w');
  const records = new RequestRecords('csv', (chunk) => writeSync(handle, chunk));
  let open = true;
  const end = () => {
    if (open) closeSync(handle);
    open = false;
  };
  return {
    records,
    decisions: null,
    close(_run, summary) {
      end();
      const summaryFile = join(directory, 'summary.json');
      writeFileSync(summaryFile, `${JSON.stringify(summary, null, 2)}\n`);
      return [file, summaryFile];
    },
    verification: () => null,
    abandon: end,
  };
}
