/** A guard of the core and how to take it out: the source text `guard` becomes `without`. `guard` occurs once in the file. */
export interface Removal {
  /** Name of the patch: what goes wrong without the guard. */
  readonly name: string;
  /** What is lost, in one line. */
  readonly lost: string;
  /** File in src/core. */
  readonly source: string;
  readonly guard: string;
  readonly without: string;
  /** File in test, and the full name of the test that must notice. */
  readonly testFile: string;
  readonly test: string;
}

/** name, what is lost, source, guard, without, test file, test */
export type RemovalRow = readonly [string, string, string, string, string, string, string];

export function removals(rows: readonly RemovalRow[]): readonly Removal[] {
  return rows.map(([name, lost, source, guard, without, testFile, test]) => ({
    name,
    lost,
    source,
    guard,
    without,
    testFile,
    test,
  }));
}
