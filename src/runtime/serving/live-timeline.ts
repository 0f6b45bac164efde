import { type Engine, type EngineEvents, EventFanout } from '../../core/index.ts';
import type { TimelineCall } from '../../gateway/engine-link.ts';
import type { Guard } from '../../gateway/guard.ts';
import {
  ListenerSlot,
  SlowSteps,
  type StepTrace,
  sharedWords,
  TimelineRecorder,
  TimelineRing,
} from '../../observability/timeline/index.ts';
import { wallNs } from '../system-clock.ts';

/** Records of a trace at most: 64 MiB, minutes of a device with 256 sequences in real time. */
const TRACE_CHUNK_WORDS = 1 << 16;
const TRACE_CHUNKS_MAX = 128;

/** What the engine thread keeps of its steps: slow ones, the last records, and a trace while somebody asks for one. */
export class LiveTimeline {
  readonly events: readonly EngineEvents[];
  private readonly slow: SlowSteps;
  private readonly guard: Guard;
  private readonly ring = new TimelineRing();
  private readonly slot = new ListenerSlot();
  private engine: Engine | null = null;
  /** Ends the trace that is running. */
  private endTrace: (() => void) | null = null;

  constructor(slowStepFactor: number, guard: Guard) {
    this.guard = guard;
    this.slow = new SlowSteps(slowStepFactor);
    this.events = [this.slow, this.ring.events, this.slot];
  }

  /** Once, before the first request. */
  attach(engine: Engine): void {
    this.engine = engine;
    this.slow.attach(engine);
    this.ring.attach(engine);
  }

  /** The answer, or its promise. */
  obey(order: TimelineCall): unknown {
    switch (order.call) {
      case 'trace':
        return this.trace(order.seconds);
      case 'stop-trace':
        this.endTrace?.();
        return null;
      case 'slow-steps':
        return this.slow.report();
      case 'recent-timeline':
        return this.ring.take();
    }
  }

  /** Records all rows of all steps for so many wall seconds, or until there is no more room, or somebody ends it. */
  private trace(seconds: number): Promise<StepTrace> {
    const engine = this.engine!;
    if (this.endTrace !== null) throw new Error('a trace is running');
    const chunks: Float64Array[] = [];
    const lengths: number[] = [];
    const wall = new WallTimes();
    return new Promise((resolve) => {
      const recorder = new TimelineRecorder({
        engine,
        rows: 'all',
        chunkWords: TRACE_CHUNK_WORDS,
        shared: true,
        sink: (words, length) => {
          chunks.push(words);
          lengths.push(length);
          // Behind the event that filled it: the recorder is still writing.
          if (chunks.length === TRACE_CHUNKS_MAX) queueMicrotask(end);
          return sharedWords(words.length);
        },
      });
      const timer = this.guard.after('trace_recording', 1000 * seconds, () => end());
      const end = () => {
        if (this.endTrace !== end) return;
        this.endTrace = null;
        clearTimeout(timer);
        this.slot.listener = null;
        recorder.close(engine.clock.nowNs());
        resolve({ chunks, lengths, wallNs: wall.wallNs });
      };
      this.endTrace = end;
      this.slot.listener = new EventFanout([recorder, wall]);
    });
  }
}

/** When steps were planned and had ended by the wall, two times a step, in the order of their ends. */
class WallTimes extends EventFanout {
  readonly wallNs: number[] = [];
  private readonly planned: number[] = [];

  constructor() {
    super([]);
  }

  override stepPlanned(): void {
    this.planned.push(wallNs());
  }

  override stepFinished(): void {
    const endNs = wallNs();
    this.wallNs.push(this.planned.shift() ?? endNs, endNs);
  }
}
