import type { DecisionEvents, DecisionStep } from '../../src/observability/decision-log-format.ts';

/** A step as the log tells it. */
export interface ReadStep {
  readonly step: number;
  /** null within a repeated line, which gives the first and the last time only. */
  readonly ns: number | null;
  readonly rows: readonly (readonly [id: string, tokens: number, drafts: number])[];
  readonly waiting: number;
}

/** Reads the rows of every step back from the lines of a log, by the rules of docs/DECISION-LOG.md. */
export function readSteps(lines: readonly string[]): ReadStep[] {
  const steps: ReadStep[] = [];
  /** When each was admitted last: the order of rows. */
  const admissions = new Map<string, number>();
  let scheduled = new Set<string>();
  let admitted = 0;
  for (const text of lines) {
    const line = JSON.parse(text) as Partial<DecisionStep> & DecisionEvents;
    for (const [id] of line.admitted ?? []) admissions.set(id, admitted++);
    for (const [id] of [...(line.finished ?? []), ...(line.preempted ?? [])]) scheduled.delete(id);
    if (line.step === undefined) continue;
    for (const id of line.out ?? []) scheduled.delete(id);
    for (const id of line.in ?? []) scheduled.add(id);
    const prefill = new Map(line.prefill ?? []);
    for (const id of prefill.keys()) scheduled.add(id);
    const drafts = new Map(line.drafts ?? []);
    scheduled = new Set([...scheduled].sort((a, b) => admissions.get(a)! - admissions.get(b)!));
    const rows = [...scheduled].map((id) => {
      const drafted = drafts.get(id) ?? 0;
      return [id, prefill.get(id) ?? 1 + drafted, drafted] as const;
    });
    if (rows.length - prefill.size !== line.decode) throw new Error(`decode rows do not add up: ${text}`);
    const times = line.times ?? 1;
    for (let i = 0; i < times; i++) {
      const ns = i === 0 ? line.ns! : i === times - 1 ? line.lastNs! : null;
      steps.push({ step: line.step + i, ns, rows, waiting: line.waiting ?? 0 });
    }
  }
  return steps;
}
