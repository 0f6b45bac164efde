import type { GenerationRun } from './generation-run.ts';

/** A call as the person on call sees it. */
export interface LiveCall {
  readonly request_id: string;
  readonly age_ms: number;
  readonly prompt_tokens: number;
  readonly output_tokens: number;
}

/** Calls that are being answered, by the request id that the client knows. */
export class LiveCalls {
  private readonly runs = new Map<string, Set<GenerationRun>>();
  /** Each call once, by the first of its names, oldest first. */
  private readonly begun = new Map<GenerationRun, { readonly id: string; readonly sinceMs: number }>();

  add(id: string, run: GenerationRun, nowMs: number): void {
    let runs = this.runs.get(id);
    if (runs === undefined) {
      runs = new Set();
      this.runs.set(id, runs);
    }
    runs.add(run);
    if (!this.begun.has(run)) this.begun.set(run, { id, sinceMs: nowMs });
  }

  remove(id: string, run: GenerationRun): void {
    this.begun.delete(run);
    const runs = this.runs.get(id);
    if (runs === undefined || !runs.delete(run)) return;
    if (runs.size === 0) this.runs.delete(id);
  }

  /** Oldest first. */
  list(nowMs: number): LiveCall[] {
    return [...this.begun].map(([run, { id, sinceMs }]) => ({
      request_id: id,
      age_ms: nowMs - sinceMs,
      prompt_tokens: run.usage.promptTokens,
      output_tokens: run.usage.outputTokens,
    }));
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
