import type { EngineStatus } from '../../gateway/engine-link.ts';

const FIELDS = [
  'stepsDone',
  'runningSequences',
  'waitingSequences',
  'swappedSequences',
  'blocksTotal',
  'blocksUsed',
  'blocksCached',
  'outputTokens',
  'engineNs',
  'lagNs',
  'paceErrorP99Ns',
  'paceErrorLastNs',
  'heartbeats',
  'deviceLost',
] as const satisfies readonly (keyof EngineStatus)[];

type Field = (typeof FIELDS)[number];

/**
 * The engine's state in shared memory: written by the engine thread alone, read by anyone, whether or not the engine still
 * answers. Beside it two counters for waiting: `wakeUps` (the gateway has sent something) and `reportsRead`.
 */
export class StatusPage implements EngineStatus {
  readonly buffer: SharedArrayBuffer;
  /** [0] wake-ups, [1] reports read by the gateway. */
  readonly signals: Int32Array;
  private readonly values: Float64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8 + 8 * FIELDS.length)) {
    this.buffer = buffer;
    this.signals = new Int32Array(buffer, 0, 2);
    this.values = new Float64Array(buffer, 8, FIELDS.length);
  }

  /** A thread begins, or is gone: nothing runs, nothing waits, nothing is used. */
  clear(): void {
    this.signals.fill(0);
    this.values.fill(0);
  }

  set(field: Field, value: number): void {
    this.values[FIELDS.indexOf(field)] = value;
  }

  get stepsDone(): number {
    return this.values[0]!;
  }
  get runningSequences(): number {
    return this.values[1]!;
  }
  get waitingSequences(): number {
    return this.values[2]!;
  }
  get swappedSequences(): number {
    return this.values[3]!;
  }
  get blocksTotal(): number {
    return this.values[4]!;
  }
  get blocksUsed(): number {
    return this.values[5]!;
  }
  get blocksCached(): number {
    return this.values[6]!;
  }
  get outputTokens(): number {
    return this.values[7]!;
  }
  get engineNs(): number {
    return this.values[8]!;
  }
  get lagNs(): number {
    return this.values[9]!;
  }
  get paceErrorP99Ns(): number {
    return this.values[10]!;
  }
  get paceErrorLastNs(): number {
    return this.values[11]!;
  }
  get heartbeats(): number {
    return this.values[12]!;
  }
  get deviceLost(): number {
    return this.values[13]!;
  }
}
