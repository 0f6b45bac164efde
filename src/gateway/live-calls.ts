import type { GenerationRun } from './generation-run.ts';

/** Calls that are being answered, by the request id that the client knows. */
export class LiveCalls {
  private readonly runs = new Map<string, Set<GenerationRun>>();

  add(id: string, run: GenerationRun): void {
    let runs = this.runs.get(id);
    if (runs === undefined) {
      runs = new Set();
      this.runs.set(id, runs);
    }
    runs.add(run);
  }

  remove(id: string, run: GenerationRun): void {
    const runs = this.runs.get(id);
    if (runs === undefined || !runs.delete(run)) return;
    if (runs.size === 0) this.runs.delete(id);
  }

  /** Ends the calls with this id, or all of them, as aborted by the operator; returns how many there were. */
  abort(id: string | null): number {
    const sets = id === null ? this.runs.values() : [this.runs.get(id) ?? []];
    // A call goes by two names: its answer's and its request's.
    const runs = new Set<GenerationRun>();
    for (const set of sets) for (const run of set) runs.add(run);
    for (const run of runs) run.abort();
    return runs.size;
  }
}
