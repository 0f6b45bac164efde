import { constants, PerformanceObserver } from 'node:perf_hooks';

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

export type GarbageCollection = 'minor' | 'major' | 'incremental' | 'weakcb';

const COLLECTIONS: Readonly<Record<number, GarbageCollection>> = {
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
};

/** Tells of each garbage collection of this thread and how long it took, a moment later. Returns what stops it. */
export function watchGarbageCollections(seen: (kind: GarbageCollection, ms: number) => void): () => void {
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      // Not in Node's types.
      const { kind } = (entry as unknown as { readonly detail: { readonly kind: number } }).detail;
      const name = COLLECTIONS[kind];
      if (name !== undefined) seen(name, entry.duration);
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  return () => observer.disconnect();
}
