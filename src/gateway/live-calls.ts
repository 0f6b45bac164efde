import type { GenerationRun } from './generation-run.ts';

/** Calls that are being answered, by the request id that the client knows. */
export class LiveCalls {
  private readonly runs = new Map<string, Set<GenerationRun>>();
  private total = 0;

  get size(): number {
    return this.total;
  }

  add(id: string, run: GenerationRun): void {
    let runs = this.runs.get(id);
    if (runs === undefined) {
      runs = new Set();
      this.runs.set(id, runs);
    }
    runs.add(run);
    this.total++;
  }

  remove(id: string, run: GenerationRun): void {
    const runs = this.runs.get(id);
    if (runs === undefined || !runs.delete(run)) return;
    this.total--;
    if (runs.size === 0) this.runs.delete(id);
  }

  /** Ends the calls with this id, or all of them, as aborted by the operator; returns how many there were. */
  abort(id: string | null): number {
    const runs = id === null ? [...this.runs.values()].flatMap((set) => [...set]) : [...(this.runs.get(id) ?? [])];
    for (const run of runs) run.abort();
    return runs.length;
  }
}
