import { openMetricsOf } from '../observability/openmetrics-history.ts';
import { InputError } from './input-error.ts';
import { MetricsObserver } from './metrics-observer.ts';
import { writeRecording } from './metrics-recording.ts';
import { type OutputFile, OutputFiles } from './output-files.ts';
import type { RunSpec } from './run-spec.ts';

/** The metrics of a simulated run as a file. Its ending says as what: OpenMetrics for promtool, or a recording for the dashboard. */
export class MetricsFile {
  readonly observer: MetricsObserver;
  private readonly files = new OutputFiles();
  private readonly file: OutputFile;
  private readonly format: 'openmetrics' | 'recording';

  /** Throws InputError for a path that cannot be written, and for another ending. */
  constructor(path: string, spec: RunSpec) {
    this.format = formatOf(path);
    this.file = this.files.create('--metrics', path);
    this.observer = MetricsObserver.of(spec);
  }

  /** The run has ended. Returns the paths written. */
  write(): string[] {
    const { history } = this.observer;
    if (this.format === 'recording') writeRecording(this.file, history);
    else for (const text of openMetricsOf(history)) this.file.write(text);
    return this.files.commit();
  }

  /** Removes what was not written to its end. Idempotent. */
  abandon(): void {
    this.files.abandon();
  }
}

function formatOf(path: string): 'openmetrics' | 'recording' {
  const [, ending] = /\.([a-z]+)(?:\.gz)?$/.exec(path) ?? [];
  if (ending === 'jsonl') return 'recording';
  if (ending === 'om' || ending === 'prom' || ending === 'txt') return 'openmetrics';
  throw new InputError(
    `--metrics ${path}: this ending is not allowed; allowed: .om, .prom or .txt (OpenMetrics), .jsonl (recording)`,
  );
}
