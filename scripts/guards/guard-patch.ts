/** A committed patch that removes one guard, and the test that must then fail. Format: test/guards/README.md. */
export interface GuardPatch {
  /** File name without `.patch`. */
  readonly name: string;
  /** What is lost, in one line. */
  readonly guard: string;
  /** Test file, from the repository root. */
  readonly testFile: string;
  /** Full name of the test or the end of it: names of its suites and of itself, separated by one space. */
  readonly testName: string;
  /** Without the guard the test never ends, instead of failing. */
  readonly hangs: boolean;
  /** Files that the patch changes. */
  readonly changes: readonly string[];
}

export class GuardPatchError extends Error {
  constructor(name: string, problem: string) {
    super(`test/guards/${name}.patch: ${problem}`);
    this.name = 'GuardPatchError';
  }
}

const HEADERS = ['guard', 'file', 'test', 'expect'];

/** Reads the header and the changed paths. @throws GuardPatchError that names the line or the missing header */
export function parseGuardPatch(name: string, text: string): GuardPatch {
  const lines = text.split('\n');
  const diffStart = lines.findIndex((line) => line.startsWith('--- ') || line.startsWith('diff '));
  if (diffStart < 0) throw new GuardPatchError(name, 'holds no unified diff');
  const header = new Map<string, string>();
  for (const [index, line] of lines.slice(0, diffStart).entries()) {
    if (line.trim() === '') continue;
    const match = /^# (\w+): (.+)$/.exec(line);
    if (match === null || !HEADERS.includes(match[1]!))
      throw new GuardPatchError(name, `line ${index + 1}: "${line}" is not "# ${HEADERS.join(' | ')}: text"`);
    header.set(match[1]!, match[2]!.trim());
  }
  const required = (key: string) => {
    const value = header.get(key);
    if (value === undefined) throw new GuardPatchError(name, `header "# ${key}: ..." is missing`);
    return value;
  };
  const expected = header.get('expect') ?? 'failure';
  if (expected !== 'failure' && expected !== 'hang')
    throw new GuardPatchError(name, `expect: "${expected}" is not allowed; failure or hang`);
  const changes = lines
    .filter((line) => /^(---|\+\+\+) [ab]\//.test(line))
    .map((line) => line.slice(6).split('\t')[0]!);
  const stray = changes.find((path) => !/^(src|replay)\//.test(path));
  if (stray !== undefined) throw new GuardPatchError(name, `changes ${stray}; only src/ and replay/ hold guards`);
  if (changes.length === 0)
    throw new GuardPatchError(name, 'changes no file (expected "--- a/src/..." and "+++ b/src/...")');
  return {
    name,
    guard: required('guard'),
    testFile: required('file'),
    testName: required('test'),
    hangs: expected === 'hang',
    changes: [...new Set(changes)],
  };
}
