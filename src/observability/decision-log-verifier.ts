import { type DecisionStep, parseDecisionLogHeader } from './decision-log-format.ts';

/** Lines of a decision log behind its first one, without their ends; null = no more. */
export interface LineSource {
  next(): string | null | Promise<string | null>;
}

/** Description of a run that tells, but does not decide: a trace is known by its hash. */
const DESCRIPTIVE_FIELDS: ReadonlySet<string> = new Set(['workload.file']);
/** Longest text of a value in a message. */
const VALUE_CHARACTERS_MAX = 160;

/**
 * Why a log with the first line `logHeader` says nothing about a run with the header `runHeader`: the first field that
 * differs, with both values. null = they are comparable.
 */
export function headerMismatch(logHeader: string | null, runHeader: string): string | null {
  const log = parseDecisionLogHeader(logHeader);
  if (typeof log === 'string') return log;
  const made = new Map<string, unknown>();
  const own = new Map<string, unknown>();
  flatten(log.run, '', made);
  flatten(parsed(runHeader)!['run'], '', own);
  const fields = [...new Set([...own.keys(), ...made.keys()])].filter(
    (field) => !DESCRIPTIVE_FIELDS.has(field) && own.get(field) !== made.get(field),
  );
  const [first] = fields;
  if (first === undefined) return null;
  const more = fields.length === 1 ? '' : ` (and ${fields.length - 1} more: ${cut(fields.slice(1).join(', '))})`;
  return `not comparable: ${first} is ${valueText(made.get(first))} in the log and ${valueText(own.get(first))} in this run${more}`;
}

/** Compares the lines of a run with a log, one by one, in constant memory. */
export class DecisionLogVerifier {
  /** Steps that were equal, up to the first difference. */
  stepsCompared = 0;
  /** In one line: step, time, what was expected, what came. null = none so far. */
  difference: string | null = null;
  private readonly expected: LineSource;
  /** A run of equal steps that came shorter than expected: the next line that comes is the difference. */
  private cutShort: DecisionStep | null = null;
  private ended = false;

  constructor(expected: LineSource) {
    this.expected = expected;
  }

  /** Takes the next lines of the run; after a difference it takes no notice of them. */
  async take(lines: readonly string[]): Promise<void> {
    for (const line of lines) {
      if (this.difference !== null) return;
      await this.compare(line);
    }
  }

  /** The run has ended: nothing may be left in the log. */
  async close(): Promise<void> {
    if (this.difference !== null || !this.ended) return;
    const next = await this.expected.next();
    if (next !== null) this.difference = `the log goes on behind its end with ${cut(next)}`;
  }

  private async compare(line: string): Promise<void> {
    const came = parsed(line)!;
    const short = this.cutShort;
    if (short !== null) {
      this.difference = `${place(came)}: expected ${repeated(short)}, came ${cut(line)}`;
      return;
    }
    const wanted = await this.expected.next();
    if (wanted === line) {
      this.stepsCompared += stepsOf(came);
      this.ended = came['end'] === true;
      return;
    }
    if (wanted === null) {
      this.difference = `${place(came)}: expected nothing, the log ends here without its last line; came ${cut(line)}`;
      return;
    }
    const expected = parsed(wanted);
    if (expected === null)
      this.difference = `${place(came)}: expected a line that is no JSON, ${cut(wanted)}; came ${cut(line)}`;
    else await this.explain(expected, came, wanted, line);
  }

  private async explain(expected: Fields, came: Fields, wanted: string, line: string): Promise<void> {
    if (!isStep(expected) || !isStep(came)) {
      this.difference = `${place(isStep(came) || 'end' in came ? came : expected)}: expected ${cut(wanted)}, came ${cut(line)}`;
      return;
    }
    const timesExpected = stepsOf(expected);
    const timesCame = stepsOf(came);
    const field = differingField(expected, came, timesExpected !== timesCame);
    if (field !== null) {
      this.difference = `${place(came)}: ${field}: expected ${valueText(expected[field])}, came ${valueText(came[field])}`;
      return;
    }
    this.stepsCompared += Math.min(timesExpected, timesCame);
    if (timesCame < timesExpected) {
      this.cutShort = expected as unknown as DecisionStep;
      return;
    }
    const next = await this.expected.next();
    const fields = next === null ? null : parsed(next);
    const from = { step: (came['step'] as number) + timesExpected, ...fields };
    this.difference = `${place(from)}: expected ${next === null ? 'the end of the log' : cut(next)}, came ${repeated(came as unknown as DecisionStep)}`;
  }
}

type Fields = Record<string, unknown>;

/** The first field with different values; with `sameStart` of the first step alone, leaving out what a run adds up. */
function differingField(expected: Fields, came: Fields, sameStart: boolean): string | null {
  for (const field of new Set([...Object.keys(expected), ...Object.keys(came)])) {
    if (sameStart && (field === 'times' || field === 'lastNs' || field === 'newBlocks')) continue;
    if (JSON.stringify(expected[field]) !== JSON.stringify(came[field])) return field;
  }
  return null;
}

function isStep(line: Fields): boolean {
  return typeof line['step'] === 'number';
}

function stepsOf(line: Fields): number {
  return isStep(line) ? ((line['times'] as number | undefined) ?? 1) : 0;
}

function place(line: Fields): string {
  const ns = line['ns'];
  const time = typeof ns === 'number' ? `${(ns / 1e9).toFixed(9)} s` : 'an unknown time';
  return isStep(line) ? `step ${String(line['step'])} at ${time}` : `at ${time}`;
}

function repeated(step: DecisionStep): string {
  return `step ${step.step} again (${step.decode} decode rows)`;
}

function parsed(line: string): Fields | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Fields) : null;
  } catch {
    return null;
  }
}

/** Leaves of a JSON value by their path. */
function flatten(value: unknown, path: string, into: Map<string, unknown>): void {
  if (typeof value !== 'object' || value === null) {
    into.set(path, value);
    return;
  }
  for (const [name, child] of Object.entries(value)) flatten(child, path === '' ? name : `${path}.${name}`, into);
}

function valueText(value: unknown): string {
  return value === undefined ? 'none' : cut(JSON.stringify(value));
}

function cut(text: string): string {
  return text.length <= VALUE_CHARACTERS_MAX ? text : `${text.slice(0, VALUE_CHARACTERS_MAX)}...`;
}
