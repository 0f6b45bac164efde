/**
 * How tests wait: for a condition, for as long as it takes. A limit on the time would fail on a busy machine and pass on an idle
 * one. A wait that lasts says once a minute what is missing.
 */

/** Between two looks; doubled from the first to the last. */
const PAUSE_MS_MIN = 2;
const PAUSE_MS_MAX = 100;
const REPORT_MS = 60_000;

/** Asks `question` until `accept` takes the answer. What `question` throws ends the wait. */
export async function until<T>(question: () => Promise<T> | T, accept: (answer: T) => boolean): Promise<T> {
  const pause = pauses();
  for (;;) {
    const answer = await question();
    if (accept(answer)) return answer;
    await pause(() => JSON.stringify(answer));
  }
}

/** Runs `look` until it throws nothing: for conditions that are written as expectations. */
export async function eventually<T>(look: () => Promise<T> | T): Promise<T> {
  const pause = pauses();
  for (;;) {
    try {
      return await look();
    } catch (error) {
      await pause(() => String(error));
    }
  }
}

function pauses(): (missing: () => string) => Promise<void> {
  const startMs = performance.now();
  let reportMs = startMs + REPORT_MS;
  let pauseMs = PAUSE_MS_MIN;
  return (missing) => {
    const nowMs = performance.now();
    if (nowMs >= reportMs) {
      reportMs = nowMs + REPORT_MS;
      console.warn(`still waiting after ${Math.round((nowMs - startMs) / 1000)} s: ${missing().slice(0, 1000)}`);
    }
    const lastMs = pauseMs;
    pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX);
    return new Promise((resolve) => setTimeout(resolve, lastMs));
  };
}
