import type { Engine, EngineEvents } from '../../core/index.ts';
import { ListenerSlot } from './listener-slot.ts';
import { sharedWords, type TimelineChunks } from './timeline-buffer.ts';
import { TimelineRecorder } from './timeline-recorder.ts';

const CHUNK_WORDS = 1 << 17;
const CHUNKS_MAX = 8;

/**
 * The last records of a running engine, in at most 8 MiB (about ten minutes of a busy engine): what `GET /debug/requests/ID`
 * tells is made of them. Every chunk begins with what was live, so that the oldest can be dropped.
 */
export class TimelineRing {
  readonly events: EngineEvents;
  private readonly slot = new ListenerSlot();
  private recorder: TimelineRecorder | null = null;
  private readonly chunks: Float64Array[] = [];
  private readonly lengths: number[] = [];

  constructor() {
    this.events = this.slot;
  }

  /** Once, before the first request. */
  attach(engine: Engine): void {
    this.recorder = new TimelineRecorder({
      engine,
      rows: 'prefill',
      chunksAlone: true,
      chunkWords: CHUNK_WORDS,
      shared: true,
      sink: (words, length) => {
        this.chunks.push(words);
        this.lengths.push(length);
        if (this.chunks.length >= CHUNKS_MAX) {
          this.chunks.shift();
          this.lengths.shift();
        }
        // Not the oldest one again: somebody may still be reading it.
        return sharedWords(words.length);
      },
    });
    this.slot.listener = this.recorder;
  }

  take(): TimelineChunks {
    const rest = this.recorder?.rest() ?? new Float64Array(0);
    return { chunks: [...this.chunks, rest], lengths: [...this.lengths, rest.length] };
  }
}
