import type { StoryWait, StoryWaitReason } from './request-story.ts';

/** How long a request waited, and for what. */
export class WaitAccount {
  private reason: StoryWaitReason = 'step-in-flight';
  private atHead = true;
  private readonly waits = new Map<string, { reason: StoryWaitReason; atHead: boolean; ns: number }>();

  /** A new time of waiting begins, before any plan has seen it. */
  begin(): void {
    this.because('step-in-flight', true);
  }

  /** A plan was made and left it out: what follows is for this reason. */
  because(reason: StoryWaitReason, atHead: boolean): void {
    this.reason = reason;
    this.atHead = atHead;
  }

  add(ns: number): void {
    if (ns <= 0) return;
    const key = `${this.reason} ${this.atHead}`;
    let wait = this.waits.get(key);
    if (wait === undefined) {
      wait = { reason: this.reason, atHead: this.atHead, ns: 0 };
      this.waits.set(key, wait);
    }
    wait.ns += ns;
  }

  /** Longest first. */
  list(): StoryWait[] {
    return [...this.waits.values()]
      .sort((a, b) => b.ns - a.ns)
      .map(({ reason, atHead, ns }) => ({ reason, atHead, ms: ns / 1e6 }));
  }
}
