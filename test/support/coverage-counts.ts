/** How often runs of schedules exercised what they are meant to exercise. */
export class CoverageCounts {
  schedules = 0;
  steps = 0;
  sequences = 0;
  outputTokens = 0;
  completedByStop = 0;
  completedByLength = 0;
  rejected = 0;
  aborts = 0;
  abortsInFlight = 0;
  deadlines = 0;
  stopStrings = 0;
  errors = 0;
  preemptions = 0;
  preemptionsInFlight = 0;
  rowsTakenOut = 0;
  swapsOut = 0;
  swapsIn = 0;
  blocksSwappedIn = 0;
  blocksCopied = 0;
  forks = 0;
  prefixHits = 0;
  partialHits = 0;
  pendingHits = 0;
  evictions = 0;
  chunkedPrefillRows = 0;
  draftsProposed = 0;
  draftsAccepted = 0;
  draftsRejected = 0;
  stepsWithFences = 0;
  stepsWithTokensInFlight = 0;
  failedSteps = 0;
  failedStepsWithOneBehind = 0;

  add(other: CoverageCounts): void {
    for (const name of Object.keys(this) as (keyof this)[]) {
      (this[name] as number) += other[name as unknown as keyof CoverageCounts] as unknown as number;
    }
  }

  /** One line a count. */
  table(): string {
    return Object.entries(this)
      .map(([name, count]) => `${name.padEnd(26)}${count}`)
      .join('\n');
  }
}
