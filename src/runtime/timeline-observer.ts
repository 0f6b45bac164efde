import { type Engine, type EngineEvents, PRIORITY, type VirtualClock } from '../core/index.ts';
import { ListenerSlot, PerfettoExport, TimelineRecorder, type TimelineSums } from '../observability/timeline/index.ts';
import { OutputFiles } from './output-files.ts';
import type { RunObserver } from './run-spec.ts';

export interface TimelineOptions {
  /** File of Perfetto's JSON; gzip when its name ends in `.gz`. */
  readonly path: string;
  /** Part of the run to record, ns of simulated time; null = all of it. */
  readonly window: { readonly startNs: number; readonly endNs: number } | null;
  /** Facts for the file. */
  readonly about: Readonly<Record<string, unknown>>;
}

/**
 * Writes a simulated run, or a part of it, as a timeline while it runs: memory does not grow with it, and nothing in the run
 * changes. The file appears when the run has come to its end. Throws InputError for a file that cannot be written.
 */
export class TimelineObserver implements RunObserver {
  readonly events: EngineEvents;
  private readonly slot = new ListenerSlot();
  private readonly options: TimelineOptions;
  private readonly files = new OutputFiles();
  private readonly trace: PerfettoExport;
  private recorder: TimelineRecorder | null = null;

  constructor(options: TimelineOptions) {
    this.options = options;
    this.events = this.slot;
    const file = this.files.create('--timeline', options.path);
    this.trace = new PerfettoExport({ write: (chunk) => file.write(chunk), about: options.about });
  }

  get sums(): TimelineSums {
    return this.trace.sums;
  }

  attach(engine: Engine, clock: VirtualClock): void {
    const { window } = this.options;
    this.recorder = new TimelineRecorder({
      engine,
      rows: 'prefill',
      sink: (words, length) => {
        this.trace.take(words, length);
        return words;
      },
      ...(window === null ? {} : { fromNs: window.startNs, toNs: window.endNs }),
    });
    this.slot.listener = this.recorder;
    if (window !== null) this.armWindow(clock, window.startNs, window.endNs);
  }

  /** Both ends of the window cut runs of steps, so that what is in it is seen in it. */
  private armWindow(clock: VirtualClock, startNs: number, endNs: number): void {
    const end = { run: (nowNs: number) => this.recorder?.tick(nowNs) };
    const start = {
      run: (nowNs: number) => {
        this.recorder?.tick(nowNs);
        if (endNs !== Number.POSITIVE_INFINITY) clock.at(endNs, PRIORITY.sample, end);
      },
    };
    if (startNs > clock.nowNs()) clock.at(startNs, PRIORITY.sample, start);
    else start.run(clock.nowNs());
  }

  close(endNs: number): void {
    this.recorder?.close(endNs);
    this.trace.close();
    this.files.commit();
  }

  /** Removes what `close` has not completed. Idempotent. */
  abandon(): void {
    this.files.abandon();
  }
}
