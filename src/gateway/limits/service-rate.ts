const WINDOW_MS = 1000;
const WINDOW_COMPLETIONS = 8;
/** A window ends after this time with whatever completed in it. */
const WINDOW_MAX_MS = 30_000;
/** What the average remembers: so much time, yet at least so many completions, or a slow server would follow its own noise. */
const MEMORY_MS = 10_000;
const MEMORY_COMPLETIONS = 64;
/** The prediction counts as so many completions: it carries the first seconds and is soon outvoted. */
const PRIOR_COMPLETIONS = 4;

/**
 * How many sequences per millisecond the engine completes when it has all the work it can take: a moving average over windows
 * in which requests waited. Completions of an idle engine say nothing about what it could do, and are left out. Until there is
 * one window, the rate is that of a full engine by Little's law, concurrency / time of a request (Little 1961, "A proof for
 * the queuing formula L = lambda W").
 */
export class ServiceRate {
  /** Completions that are remembered, and the time that they took. */
  private remembered = PRIOR_COMPLETIONS;
  private rememberedMs: number;
  private windowFrom: number | null = null;
  private completions = 0;
  /** Requests wait at least until then, as far as the last arrival could see. */
  private busyUntilMs = Number.NEGATIVE_INFINITY;

  constructor(concurrency: number, predictedRequestMs: number) {
    this.rememberedMs = (PRIOR_COMPLETIONS * predictedRequestMs) / concurrency;
  }

  /** Sequences per millisecond, above 0. */
  get sequencesPerMs(): number {
    return this.remembered / this.rememberedMs;
  }

  /** At `nowMs` this many sequences wait. */
  waiting(nowMs: number, sequences: number): void {
    this.busyUntilMs = nowMs + Math.max(0, sequences) / this.sequencesPerMs;
  }

  /** This many sequences ended at `nowMs`. */
  completed(nowMs: number, sequences: number): void {
    if (nowMs >= this.busyUntilMs) {
      this.windowFrom = null;
      return;
    }
    if (this.windowFrom === null) {
      this.windowFrom = nowMs;
      this.completions = 0;
      return;
    }
    this.completions += sequences;
    const windowMs = nowMs - this.windowFrom;
    const full = windowMs >= WINDOW_MS && this.completions >= WINDOW_COMPLETIONS;
    if (full || windowMs >= WINDOW_MAX_MS) this.close(nowMs, windowMs);
  }

  private close(nowMs: number, windowMs: number): void {
    this.remembered += this.completions;
    this.rememberedMs += windowMs;
    const most = Math.max(MEMORY_COMPLETIONS, MEMORY_MS * this.sequencesPerMs);
    const kept = Math.min(1, most / this.remembered);
    this.remembered *= kept;
    this.rememberedMs *= kept;
    this.windowFrom = nowMs;
    this.completions = 0;
  }
}
