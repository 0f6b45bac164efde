/** One thing wrong with a scenario. Line and column count from 1. */
export interface ScenarioProblem {
  readonly line: number;
  readonly column: number;
  /** Dotted path of the field, '' for the document. */
  readonly path: string;
  /** The value, what is wrong and what is allowed; without place and path. */
  readonly message: string;
}

/** A scenario that cannot be read or does not follow the schema: the user's to mend. One line per problem. */
export class ScenarioError extends Error {
  readonly file: string;
  readonly problems: readonly ScenarioProblem[];

  constructor(file: string, problems: readonly ScenarioProblem[]) {
    super(problems.map((problem) => problemLine(file, problem)).join('\n'));
    this.name = 'ScenarioError';
    this.file = file;
    this.problems = problems;
  }
}

function problemLine(file: string, problem: ScenarioProblem): string {
  const place = problem.line > 0 ? `${file}:${problem.line}:${problem.column}` : file;
  return problem.path === '' ? `${place}: ${problem.message}` : `${place}: ${problem.path}: ${problem.message}`;
}
