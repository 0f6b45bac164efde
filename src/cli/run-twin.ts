import type { LoadedScenario } from '../config/load-scenario.ts';
import type { ScenarioOverrides } from '../config/resolve-scenario.ts';
import { MetricsFile } from '../runtime/metrics-file.ts';
import type { RunHooks, RunObserver, RunOutcome, RunProgress, RunSpec } from '../runtime/run-spec.ts';
import { TimelineObserver } from '../runtime/timeline-observer.ts';
import { SpanFile } from '../runtime/tracing/span-file.ts';
import { textReport } from '../simulation/report/text-report.ts';
import type { CliIo } from './cli-io.ts';
import { EXIT, type ExitCode, UsageError } from './exit-codes.ts';
import { Interruption } from './interruption.ts';
import { progressView } from './progress-bar.ts';
import { resolveWithFlags } from './resolve-with-flags.ts';
import { overridesOf, type RunOptions } from './run-options.ts';

/** Runs a specification: `runSimulation` of the runtime, or a test's own. */
export type Simulate = (spec: RunSpec, hooks: RunHooks) => Promise<RunOutcome>;

/** What commands get from outside. */
export interface CliContext {
  readonly io: CliIo;
  readonly simulate: Simulate;
  /** The command line, as one would type it. */
  readonly command: string;
  /** Told how the command ended; without a call it ended well. */
  readonly exit: (code: ExitCode) => void;
  /** Told what is about to run, for the message when a law of the engine is broken. */
  readonly running: (spec: RunSpec) => void;
}

/** As a server keeps them, and the time of the specification's example. */
const SPAN_DEFAULTS = { sampleRatio: 0.1, epochSeconds: 1_705_312_800 };

/** Resolves, runs, prints. stdout gets the table or the document, stderr progress and notes. */
export async function runTwin(
  context: CliContext,
  loaded: LoadedScenario,
  options: RunOptions,
  more: ScenarioOverrides = {},
): Promise<void> {
  const quiet = options.quiet === true || options.json === true;
  const overrides = overridesOf(options);
  const spec = resolveWithFlags(loaded, {
    ...overrides,
    ...more,
    workload: { ...overrides.workload, ...more.workload },
  });
  context.running(spec);
  // Each removes what it has begun to write, unless it has come to its end.
  const open: { abandon(): void }[] = [];
  try {
    const metrics = options.metrics === undefined ? null : new MetricsFile(options.metrics, spec);
    if (metrics !== null) open.push(metrics);
    const timeline = timelineOf(context, spec, options);
    if (timeline !== null) open.push(timeline);
    const spans = spansOf(spec, options);
    if (spans !== null) open.push(spans);
    const observers = [metrics?.observer ?? null, timeline, spans].filter((each) => each !== null);
    const outcome = await simulated(context, spec, quiet, observers);
    const files = [...outcome.files, ...(metrics?.write() ?? [])];
    if (timeline !== null) files.push(options.timeline!);
    if (spans !== null) files.push(options.spans!);
    report(context, { ...outcome, files }, options, spans === null ? [] : [spans.summary]);
  } finally {
    for (const each of open) each.abandon();
  }
}

function report({ io, exit }: CliContext, outcome: RunOutcome, options: RunOptions, notes: readonly string[]): void {
  const quiet = options.quiet === true || options.json === true;
  io.stdout.write(
    options.json === true ? `${JSON.stringify(outcome.summary, null, 2)}\n` : textReport(outcome.run, outcome.summary),
  );
  if (!quiet) for (const note of [...notesOf(outcome), ...notes]) io.stderr.write(`${note}\n`);
  exit(exitCodeOf(outcome, options, io));
}

/** Runs a specification with a progress bar; a signal ends it. */
export async function simulated(
  context: CliContext,
  spec: RunSpec,
  quiet: boolean,
  observers: readonly RunObserver[] = [],
): Promise<RunOutcome> {
  const view = progressView(context.io.stderr, quiet);
  const interruption = new Interruption(context.io.signals);
  const progress = (state: RunProgress) => {
    // Thrown out of the run, which then removes what it has begun to write.
    interruption.check();
    view.update(state);
  };
  try {
    return await context.simulate(spec, { progress, command: context.command, observers });
  } finally {
    interruption.close();
    view.stop();
  }
}

/** Throws InputError for a file that cannot be written, UsageError for a window without a file. */
function timelineOf(context: CliContext, spec: RunSpec, options: RunOptions): TimelineObserver | null {
  const { timeline: path, timelineWindow: window = null } = options;
  if (path !== undefined) {
    const about = { command: context.command, scenario: spec.scenario, seed: spec.seed };
    return new TimelineObserver({ path, window, about });
  }
  if (window !== null) throw new UsageError('--timeline-window: is allowed with --timeline FILE only');
  return null;
}

/** Throws InputError for a file that cannot be written, UsageError for its settings without it. */
function spansOf(spec: RunSpec, options: RunOptions): SpanFile | null {
  const { spans: path, spanRatio, spanEpoch } = options;
  if (path !== undefined) {
    const { sampleRatio, epochSeconds } = SPAN_DEFAULTS;
    return new SpanFile({
      path,
      spec,
      sampleRatio: spanRatio ?? sampleRatio,
      epochSeconds: spanEpoch ?? epochSeconds,
    });
  }
  const alone = spanRatio === undefined ? (spanEpoch === undefined ? null : '--span-epoch') : '--span-ratio';
  if (alone !== null) throw new UsageError(`${alone}: is allowed with --spans FILE only`);
  return null;
}

function notesOf(outcome: RunOutcome): string[] {
  const notes = outcome.files.map((file) => `written: ${file}`);
  if (outcome.badRows > 0)
    notes.push(
      `bad rows skipped: ${outcome.badRows}${outcome.firstBadRow === null ? '' : `; the first: ${outcome.firstBadRow}`}`,
    );
  return notes;
}

function exitCodeOf(outcome: RunOutcome, options: RunOptions, io: CliIo): ExitCode {
  const { verification } = outcome;
  if (verification !== null && verification.difference !== null) {
    io.stderr.write(`verify: after ${verification.stepsCompared} equal steps: ${verification.difference}\n`);
    return EXIT.missed;
  }
  if (verification !== null && options.quiet !== true) {
    io.stderr.write(`verify: ${verification.stepsCompared} steps equal\n`);
  }
  const missed = (outcome.summary.targets ?? []).filter((result) => !result.pass);
  return options.failOnTargets === true && missed.length > 0 ? EXIT.missed : EXIT.ok;
}
