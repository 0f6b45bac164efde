const FIELDS = [
  'step',
  'timeNs',
  'rows',
  'prefillTokens',
  'decodeTokens',
  'stepsRun',
  'running',
  'waiting',
  'swapped',
  'available',
] as const;

/** The last submissions of an engine, as numbers in a ring: what an `InvariantError` or a crash report shows. */
export class FlightRecorder {
  private readonly ring: Float64Array;
  private readonly capacity: number;
  private count = 0;

  constructor(capacity = 64) {
    this.capacity = capacity;
    this.ring = new Float64Array(capacity * FIELDS.length);
  }

  record(
    step: number,
    timeNs: number,
    rows: number,
    prefillTokens: number,
    decodeTokens: number,
    stepsRun: number,
    running: number,
    waiting: number,
    swapped: number,
    available: number,
  ): void {
    const at = (this.count++ % this.capacity) * FIELDS.length;
    const ring = this.ring;
    ring[at] = step;
    ring[at + 1] = timeNs;
    ring[at + 2] = rows;
    ring[at + 3] = prefillTokens;
    ring[at + 4] = decodeTokens;
    ring[at + 5] = stepsRun;
    ring[at + 6] = running;
    ring[at + 7] = waiting;
    ring[at + 8] = swapped;
    ring[at + 9] = available;
  }

  /** One line per submission, oldest first. */
  lines(): string[] {
    const lines: string[] = [];
    for (let i = Math.max(0, this.count - this.capacity); i < this.count; i++) {
      const at = (i % this.capacity) * FIELDS.length;
      lines.push(FIELDS.map((field, j) => `${field}=${this.ring[at + j]}`).join(' '));
    }
    return lines;
  }
}
