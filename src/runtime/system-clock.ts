/** The one place that reads the machine's time. Monotonic nanoseconds since the process began. */
export function wallNs(): number {
  return Math.round(performance.now() * 1e6);
}
