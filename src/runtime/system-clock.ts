/** The one place that reads the machine's time. Monotonic nanoseconds since the process began. */
export function wallNs(): number {
  return Math.round(performance.now() * 1e6);
}

/** Seconds since 1970, whole: only for what is shown to clients. */
export function epochSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Seconds since 1970 with their fraction, by the clock that never goes back. */
export function steadyEpochSeconds(): number {
  return (performance.timeOrigin + performance.now()) / 1000;
}

/** Milliseconds since 1970 at which `wallNs` was 0, by the wall clock as it is set now. */
export function epochOriginMs(): number {
  return Date.now() - performance.now();
}

/** How long this thread's event loop has been busy and idle so far, ms. */
export function eventLoopTimes(): { readonly activeMs: number; readonly idleMs: number } {
  const { active, idle } = performance.eventLoopUtilization();
  return { activeMs: active, idleMs: idle };
}
