import { parseDecisionLogHeader } from '../observability/decision-log-format.ts';
import {
  DecisionLogError,
  DecisionLogRecords,
  type LoggedEngine,
  type RequestStory,
  StoryTeller,
} from '../observability/explain/index.ts';
import type { SequenceName, TimelineRecord } from '../observability/timeline/index.ts';
import { InputError } from './input-error.ts';
import { LineReader } from './line-reader.ts';

const WHAT = '--decision-log';
const NEAREST_MAX = 3;

/**
 * What happened to one sequence, read from a decision log in constant memory. Throws InputError for a file that is none, and
 * for a sequence that is not in it, naming the nearest ones.
 */
export async function explainLog(path: string, target: SequenceName): Promise<RequestStory> {
  const reader = new LineReader(WHAT, path);
  try {
    const header = parseDecisionLogHeader(await reader.next());
    if (typeof header === 'string') throw new InputError(`${WHAT} ${path}: ${header}`);
    const teller = new StoryTeller(target, ({ id, index }) => (index === 0 ? String(id) : `${id}.${index}`));
    const nearest = new NearestRequests(target);
    const records = new DecisionLogRecords();
    teller.take(records.begin(engineOf(header.run, path)));
    for (let line = 2; ; line++) {
      const text = await reader.next();
      if (text === null) break;
      for (const record of recordsOf(records, text, `${WHAT} ${path}:${line}`)) {
        teller.take(record);
        nearest.take(record);
      }
    }
    const story = teller.story();
    if (story !== null) return story;
    throw new InputError(`request ${target.id}.${target.index} is not in ${path}; ${nearest.words()}`);
  } finally {
    reader.close();
  }
}

function engineOf(run: Readonly<Record<string, unknown>> | undefined, path: string): LoggedEngine {
  const engine = (run?.['engine'] ?? {}) as Partial<LoggedEngine>;
  const { blocksTotal = Number.NaN, blockSize = Number.NaN, sequencesMax = Number.NaN, stepsInFlight = 1 } = engine;
  if (blocksTotal > 0 && blockSize > 0 && sequencesMax > 0)
    return { blocksTotal, blockSize, sequencesMax, stepsInFlight };
  throw new InputError(`${WHAT} ${path}: its header does not describe an engine`);
}

function recordsOf(records: DecisionLogRecords, text: string, place: string): TimelineRecord[] {
  try {
    return [...records.take(JSON.parse(text))];
  } catch (error) {
    if (error instanceof DecisionLogError) throw new InputError(`${place}: ${error.message}`);
    if (error instanceof SyntaxError || error instanceof TypeError)
      throw new InputError(`${place}: is no line of a decision log`);
    throw error;
  }
}

/** The requests of a log whose numbers are nearest to one. */
class NearestRequests {
  private readonly target: SequenceName;
  private nearest: number[] = [];
  private siblings = 0;

  constructor(target: SequenceName) {
    this.target = target;
  }

  take(record: TimelineRecord): void {
    if (record.kind !== 'received' && record.kind !== 'rejected') return;
    if (record.id === this.target.id) this.siblings++;
    const { nearest } = this;
    if (nearest.includes(record.id)) return;
    nearest.push(record.id);
    nearest.sort((a, b) => Math.abs(a - this.target.id) - Math.abs(b - this.target.id));
    nearest.length = Math.min(nearest.length, NEAREST_MAX);
  }

  words(): string {
    if (this.siblings > 0) return `it has the sequences ${this.target.id}.0 to ${this.target.id}.${this.siblings - 1}`;
    return this.nearest.length === 0 ? 'it holds no request' : `nearest: ${this.nearest.join(', ')}`;
  }
}
