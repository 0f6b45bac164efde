/** Signals that ask a run to end, and the exit codes that shells expect of a process that they ended: 128 + number. */
export const SIGNAL_EXITS = { SIGINT: 130, SIGTERM: 143 } as const;

export type Signal = keyof typeof SIGNAL_EXITS;

/** Where signals come from: the process, or a test. */
export interface SignalSource {
  once(signal: Signal, listener: (signal: Signal) => void): unknown;
  off(signal: Signal, listener: (signal: Signal) => void): unknown;
}

/** A run was asked to end by a signal. */
export class InterruptedError extends Error {
  readonly signal: Signal;

  constructor(signal: Signal) {
    super(`interrupted (${signal}): nothing was written`);
    this.name = 'InterruptedError';
    this.signal = signal;
  }
}

/** Watches for signals while a run goes on. A second one of the kind ends the process at once. */
export class Interruption {
  private readonly source: SignalSource | null;
  private signal: Signal | null = null;

  constructor(source: SignalSource | null) {
    this.source = source;
    for (const signal of signals()) source?.once(signal, this.noted);
  }

  /** Throws InterruptedError when a signal has come. */
  check(): void {
    if (this.signal !== null) throw new InterruptedError(this.signal);
  }

  close(): void {
    for (const signal of signals()) this.source?.off(signal, this.noted);
  }

  private readonly noted = (signal: Signal): void => {
    this.signal ??= signal;
  };
}

function signals(): Signal[] {
  return Object.keys(SIGNAL_EXITS) as Signal[];
}
