import type { SettingsGroup } from '../simulation/report/html-report.ts';
import { describeRun } from './describe-run.ts';
import type { RunSpec } from './run-spec.ts';

/** What decided a run, as tables for its report. */
export function reportSettings(spec: RunSpec): SettingsGroup[] {
  const run = describeRun(spec);
  return [
    {
      title: 'Scenario',
      rows: [
        ['description', spec.description],
        ['seed', String(spec.seed)],
        ['tensor parallel', String(spec.tensorParallel)],
        ['engine profile', spec.engineProfile],
        ...(spec.faults.length === 0 ? [] : [['faults', String(spec.faults.length)] as const]),
      ],
    },
    { title: 'Workload', rows: rowsOf(run['workload']) },
    { title: 'Engine', rows: rowsOf(spec.engine) },
    { title: 'Model', rows: rowsOf(run['model']) },
    { title: 'Device', rows: rowsOf(run['device']) },
  ];
}

/** Leaves of a plain value, names joined by points. */
function rowsOf(value: unknown, path = ''): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [[path, value === null ? 'none' : typeof value === 'object' ? JSON.stringify(value) : String(value)]];
  }
  return Object.entries(value).flatMap(([name, child]) => rowsOf(child, path === '' ? name : `${path}.${name}`));
}
