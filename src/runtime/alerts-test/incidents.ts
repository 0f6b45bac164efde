import type { RunSpec } from '../run-spec.ts';

/** Something that a scenario lets happen, for the picture: a fault, or traffic of one kind. Seconds. */
export interface Incident {
  readonly name: string;
  readonly fromSeconds: number;
  /** The same as `fromSeconds` for what happens in one moment. */
  readonly toSeconds: number;
}

/** Traffic that lasts longer than this share of the run is no incident. */
const TRAFFIC_SHARE_MAX = 0.5;

/** Faults and passing streams of a run that lasted for `endSeconds`, in order of time. */
export function incidentsOf({ faults, workload }: RunSpec, endSeconds: number): Incident[] {
  const incidents: Incident[] = faults.map((fault) => {
    const [fromNs, toNs] = 'atNs' in fault ? [fault.atNs, fault.atNs] : [fault.fromNs, fault.toNs];
    return { name: fault.kind, fromSeconds: fromNs / 1e9, toSeconds: toNs / 1e9 };
  });
  for (const { name, fromNs, spec } of workload.kind === 'mixed' ? workload.streams : []) {
    const fromSeconds = fromNs / 1e9;
    const toSeconds = Math.min(endSeconds, fromSeconds + (spec.durationS ?? Number.POSITIVE_INFINITY));
    if (toSeconds - fromSeconds <= TRAFFIC_SHARE_MAX * endSeconds && fromSeconds > 0) {
      incidents.push({ name, fromSeconds, toSeconds });
    }
  }
  return incidents.sort((a, b) => a.fromSeconds - b.fromSeconds);
}
