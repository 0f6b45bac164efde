import type { Engine, EngineEvents } from '../../core/index.ts';
import { KEEP_REASONS, type Span, SpanRecorder } from '../../observability/spans/index.ts';
import { otlpJson, type SpanSource } from '../../observability/spans/otlp-json.ts';
import { SimulatedTraces } from '../../observability/spans/simulated-traces.ts';
import { type OutputFile, OutputFiles } from '../output-files.ts';
import { packageVersion } from '../package-folder.ts';
import type { RunObserver, RunSpec } from '../run-spec.ts';
import { simulatedDeviceNames } from './device-names.ts';

export interface SpanFileOptions {
  /** Gzip when its name ends in `.gz`. */
  readonly path: string;
  readonly spec: RunSpec;
  /** Share of the traces that nothing else keeps, 0 .. 1. */
  readonly sampleRatio: number;
  /** Simulated time 0, seconds since 1970. */
  readonly epochSeconds: number;
}

/** As a server: slow is what a warning is given for. */
const SLOW_TTFT_MS = 300;
const LINE_SPANS = 512;

/**
 * Traces of a simulated run in the file format of OpenTelemetry's collector: one ExportTraceServiceRequest in JSON a line, which
 * its `otlpjsonfile` receiver reads. The file appears when the run has come to its end. Throws InputError for one that cannot be written.
 */
export class SpanFile implements RunObserver {
  readonly events: EngineEvents;
  private readonly recorder: SpanRecorder;
  private readonly traces: SimulatedTraces;
  private readonly files = new OutputFiles();
  private readonly file: OutputFile;
  private readonly source: SpanSource;
  private waiting: Span[] = [];

  constructor({ path, spec, sampleRatio, epochSeconds }: SpanFileOptions) {
    this.file = this.files.create('--spans', path);
    const version = packageVersion();
    const resource = {
      'service.name': 'twinfer',
      'service.version': version,
      'twinfer.backend': 'simulated',
      'twinfer.scenario': spec.scenario,
    };
    this.source = { resource, version, epochSeconds };
    this.traces = new SimulatedTraces({
      rules: { slowTtftMs: SLOW_TTFT_MS, sampleRatio },
      seed: spec.seed,
      model: spec.model.name,
      device: simulatedDeviceNames(spec.tensorParallel),
      take: (spans) => this.take(spans),
    });
    this.recorder = new SpanRecorder({ config: spec.engine, emit: (record) => this.traces.add(record) });
    this.events = this.recorder;
  }

  attach(engine: Engine): void {
    this.recorder.attach(engine);
  }

  close(): void {
    this.recorder.flush();
    this.writeLine();
    this.files.commit();
  }

  /** How many traces were kept, and why; for a note. */
  get summary(): string {
    const { kept, ended } = this.traces;
    const reasons = KEEP_REASONS.filter((reason) => kept[reason] > 0).map((reason) => `${reason} ${kept[reason]}`);
    const total = KEEP_REASONS.reduce((sum, reason) => sum + kept[reason], 0);
    return `traces kept: ${total} of ${ended}${reasons.length === 0 ? '' : ` (${reasons.join(', ')})`}`;
  }

  /** Removes what `close` has not completed. Idempotent. */
  abandon(): void {
    this.files.abandon();
  }

  private take(spans: readonly Span[]): void {
    for (const span of spans) this.waiting.push(span);
    if (this.waiting.length >= LINE_SPANS) this.writeLine();
  }

  private writeLine(): void {
    if (this.waiting.length === 0) return;
    this.file.write(`${otlpJson(this.waiting, this.source)}\n`);
    this.waiting = [];
  }
}
