/** ok: nothing to do; warn: it runs, not as well as it could; fail: the server does not start, or dies of it. */
export type Verdict = 'ok' | 'warn' | 'fail';

export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  /** What was found. */
  readonly found: string;
  /** What to do; empty when nothing is. */
  readonly advice: string;
}

export function finding(check: string, verdict: Verdict, found: string, advice = ''): Finding {
  return { check, verdict, found, advice };
}
