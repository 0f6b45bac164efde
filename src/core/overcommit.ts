/**
 * Which share of the output that running sequences may still produce is reserved at admission: SGLang's new-token ratio
 * (python/sglang/srt/managers/scheduler_components/new_token_ratio_tracker.py). It starts at 0.7, decays to 0.14 of that over
 * 600 decode steps without trouble, and jumps up after a preemption to what the running sequences really produced,
 * (decoded + 20 per sequence) / (allowed + 1). Kept in whole millionths, so that k steps at once equal k single steps.
 */
export class OvercommitRatio {
  private static readonly FIRST = 700_000;
  private static readonly LEAST = 98_000;
  private static readonly DECAY = 1_003;
  private static readonly MARGIN_TOKENS = 20;
  private millionths: number = OvercommitRatio.FIRST;

  get ratio(): number {
    return this.millionths / 1e6;
  }

  /** Tokens to reserve of `tokens` that may still come. */
  share(tokens: number): number {
    return Math.ceil((tokens * this.millionths) / 1e6);
  }

  stepsDone(steps: number): void {
    this.millionths = Math.max(OvercommitRatio.LEAST, this.millionths - steps * OvercommitRatio.DECAY);
  }

  /** After a preemption: `decoded` of `allowed` output tokens exist over the `sequences` that still run. */
  preempted(decoded: number, allowed: number, sequences: number): void {
    const observed = (decoded + OvercommitRatio.MARGIN_TOKENS * sequences) / (allowed + 1);
    this.millionths = Math.min(1e6, Math.max(this.millionths, Math.round(observed * 1e6)));
  }
}
