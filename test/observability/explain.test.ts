import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineConfig } from '../../src/core/index.ts';
import {
  DecisionLogRecords,
  type RequestStory,
  STORY_PARTS,
  StoryTeller,
  storySentences,
} from '../../src/observability/explain/index.ts';
import {
  type FinishedRecord,
  readTimeline,
  type SequenceName,
  type TimelineRecord,
  TimelineRecorder,
} from '../../src/observability/timeline/index.ts';
import { type LoggedRequest, type LoggedRun, type LoggedRunOptions, loggedRun } from './logged-engine.ts';
import { orders, schedules } from './pressed-schedules.ts';

const SMALL: Partial<EngineConfig> = {
  blockSize: 4,
  blocksTotal: 64,
  sequencesMax: 4,
  tokensPerStepMax: 16,
  modelLenMax: 128,
};

const one = (promptTokens: number, outputTokensMax: number, more: Partial<LoggedRequest> = {}): LoggedRequest => ({
  arrivalNs: 0,
  stream: 1,
  promptTokens,
  outputTokensMax,
  ...more,
});

/** A run with what a recorder saw of it. */
function recorded(options: LoggedRunOptions): { run: LoggedRun; records: TimelineRecord[] } {
  const records: TimelineRecord[] = [];
  let recorder: TimelineRecorder | null = null;
  const run = loggedRun({
    ...options,
    listener: (engine) => {
      recorder = new TimelineRecorder({
        engine,
        rows: 'prefill',
        sink: (words, length) => {
          records.push(...readTimeline(words, length));
          return words;
        },
      });
      return recorder;
    },
  });
  recorder!.close(run.endNs);
  return { run, records };
}

const plainName = ({ id, index }: SequenceName) => (index === 0 ? String(id) : `${id}.${index}`);

function storyOf(records: Iterable<TimelineRecord>, target: SequenceName): RequestStory | null {
  const teller = new StoryTeller(target, plainName);
  for (const record of records) teller.take(record);
  return teller.story();
}

function* logRecords({ lines, engine }: LoggedRun): Generator<TimelineRecord> {
  const records = new DecisionLogRecords();
  yield records.begin(engine.config);
  for (const line of lines) yield* records.take(JSON.parse(line));
}

const sum = (parts: RequestStory['parts']) => STORY_PARTS.reduce((total, part) => total + parts[part], 0);

describe('the story of a request', () => {
  it('puts all of its time on accounts that add up, from records and from a log alike, whatever happens', () => {
    fc.assert(
      fc.property(schedules, (schedule) => {
        const { run, records } = recorded(orders(schedule));
        const ended = records.filter((record): record is FinishedRecord => record.kind === 'finished');
        for (const { id, index, ns, arrivalNs, firstTokenNs, outputTokens, reason } of ended) {
          for (const source of [records, logRecords(run)]) {
            const story = storyOf(source, { id, index })!;
            expect(story).toMatchObject({ state: 'finished', complete: true, finishReason: reason, outputTokens });
            expect(story.totalMs).toBeCloseTo((ns - arrivalNs) / 1e6, 9);
            expect(sum(story.parts)).toBeCloseTo(story.totalMs, 9);
            expect(story.ttftMs === null).toBe(firstTokenNs === -1);
            if (story.ttftMs === null) continue;
            expect(sum(story.partsOfTtft!)).toBeCloseTo(story.ttftMs, 9);
            if (source === records) expect(story.ttftMs).toBeCloseTo((firstTokenNs - arrivalNs) / 1e6, 9);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('is the same from a log as from records where steps run one by one', () => {
    const requests = Array.from({ length: 10 }, (_, i) => one(5 + i, 12, { arrivalNs: 1500 * i, stream: i % 3 }));
    const { run, records } = recorded({ config: { ...SMALL, blocksTotal: 16, capacity: 'as-needed' }, requests });
    for (let id = 0; id < requests.length; id++) {
      const [seen, logged] = [storyOf(records, { id, index: 0 })!, storyOf(logRecords(run), { id, index: 0 })!];
      const { holders: _seen, ...facts } = seen;
      const { holders: _logged, ...fromLog } = logged;
      expect(fromLog).toEqual(facts);
    }
  });

  it('tells for what it waited, behind whom, and who held the blocks', () => {
    const requests = [
      one(40, 8),
      one(12, 4, { arrivalNs: 5000, stream: 2 }),
      one(16, 4, { arrivalNs: 5500, stream: 3 }),
    ];
    const { records } = recorded({ config: { ...SMALL, blocksTotal: 13 }, requests });
    const second = storyOf(records, { id: 1, index: 0 })!;
    expect(second.waits[0]).toMatchObject({ atHead: true });
    expect(['blocks', 'overcommit']).toContain(second.waits[0]!.reason);
    expect(second.parts.queue).toBeCloseTo(second.queueMs!, 9);
    expect(second.holders).toMatchObject({ blocksTotal: 13, running: 1, top: [{ request: '0' }] });
    expect(second.holders!.top[0]!.blocks).toBeGreaterThan(9);
    expect(storyOf(records, { id: 2, index: 0 })!.waits[0]).toMatchObject({ atHead: false });
    const sentences = storySentences(storyOf(records, { id: 2, index: 0 })!).join(' ');
    expect(sentences).toMatch(/into waiting in the queue, for KV blocks/);
    expect(sentences).toMatch(/behind others in the queue/);
    expect(sentences).toMatch(/most were held by 0 \(/);
  });

  it('tells who was preempted for whom, what was lost and when it was back', () => {
    const requests = [1, 2].map((stream) => one(8, 16, { stream }));
    const config = { ...SMALL, blocksTotal: 8, capacity: 'as-needed', victim: 'tail' } as const;
    for (const how of ['recompute', 'swap'] as const) {
      const { records } = recorded({ config: { ...config, preemption: how, hostBlocksTotal: 8 }, requests });
      const { preemptions, parts } = storyOf(records, { id: 1, index: 0 })!;
      expect(preemptions[0]).toMatchObject({ madeRoomFor: '0', how, lostTokens: how === 'swap' ? 0 : 16 });
      expect(preemptions[0]!.untilTokenMs).toBeGreaterThan(preemptions[0]!.awayMs!);
      expect(parts.preempted).toBeCloseTo(
        preemptions.reduce((ms, each) => ms + each.untilTokenMs!, 0),
        9,
      );
    }
  });

  it('tells what the prompts of others cost it', () => {
    const requests = [one(8, 30), one(60, 2, { arrivalNs: 5500, stream: 2 })];
    const { records } = recorded({ config: SMALL, requests });
    const story = storyOf(records, { id: 0, index: 0 })!;
    expect(story.steps).toMatchObject({ decode: 29, mixed: 4 });
    // Every step takes 1,000 ns here: prompts of others cost nothing, and that is what is said.
    expect(story.parts.interference).toBeCloseTo(0, 9);
    const shared = storyOf(records, { id: 1, index: 0 })!;
    expect(shared.chunksTotal).toBe(4);
    expect(shared.chunks.reduce((tokens, chunk) => tokens + chunk.tokens, 0)).toBe(60);
  });

  it('of one that was refused is one sentence', () => {
    const { run, records } = recorded({ config: { ...SMALL, blocksTotal: 4 }, requests: [one(100, 10)] });
    for (const source of [records, logRecords(run)]) {
      const story = storyOf(source, { id: 0, index: 0 })!;
      expect(story).toMatchObject({ state: 'rejected', rejection: 'never-fits' });
      expect(storySentences(story)).toHaveLength(1);
    }
  });

  it('of one that is not there is none', () => {
    const { records } = recorded({ config: SMALL, requests: [one(4, 2)] });
    expect(storyOf(records, { id: 1, index: 0 })).toBeNull();
    expect(storyOf(records, { id: 0, index: 1 })).toBeNull();
  });

  it('that is cut off at its beginning says so, and knows its times all the same', () => {
    const { records } = recorded({ config: SMALL, requests: [one(8, 30)] });
    const whole = storyOf(records, { id: 0, index: 0 })!;
    let chunk: TimelineRecord[] = [];
    let late: TimelineRecorder | null = null;
    const run = loggedRun({
      config: SMALL,
      requests: [one(8, 30)],
      listener: (engine) => {
        late = new TimelineRecorder({
          engine,
          rows: 'prefill',
          fromNs: 10_000,
          sink: (words, length) => {
            chunk = [...chunk, ...readTimeline(words, length)];
            return words;
          },
        });
        return late;
      },
    });
    late!.close(run.endNs);
    const story = storyOf(chunk, { id: 0, index: 0 })!;
    expect(story.complete).toBe(false);
    expect(story.totalMs).toBeCloseTo(whole.totalMs, 9);
    expect(story.ttftMs).toBeCloseTo(whole.ttftMs!, 9);
    expect(sum(story.parts)).toBeCloseTo(story.totalMs, 9);
  });
});
