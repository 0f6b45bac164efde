/** Phases of the host's own work in one scheduler step (the specification's profiled step). */
export const HOST_PHASES = ['collect_finished', 'allocate_running', 'admit_waiting', 'build_batch'] as const;
export type HostPhase = (typeof HOST_PHASES)[number];

/**
 * How long the host's own work took. Live: a monotonic clock. Virtual: a model (cost per step, sequence, block and phase),
 * so that scheduler latencies, stalls and their alerts exist in a simulated day.
 */
export interface HostTimer {
  /** Opens a phase; returns a mark in nanoseconds. */
  startNs(): number;
  /**
   * Closes a phase that began at `startNs`; `work` is the number of sequences or blocks handled.
   * Returns its length in nanoseconds.
   */
  elapsedNs(phase: HostPhase, work: number, startNs: number): number;
}
