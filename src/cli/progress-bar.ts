import cliProgress from 'cli-progress';
import type { RunProgress } from '../runtime/run-spec.ts';
import { wallNs } from '../runtime/system-clock.ts';
import type { CliStream } from './cli-io.ts';

/** Shows how far a run is. `update` may be called often. */
export interface ProgressView {
  update(progress: RunProgress): void;
  stop(): void;
}

const SILENT = { update() {}, stop() {} };

/** A bar with time left and simulated time on a terminal; nothing in a pipe or when `quiet`. */
export function progressView(stderr: CliStream, quiet: boolean, nowNs: () => number = wallNs): ProgressView {
  if (quiet || stderr.isTTY !== true) return SILENT;
  const bar = new RatioBar(stderr, '{requests} requests | simulated {simulated}', nowNs);
  return {
    update(progress) {
      bar.update(progressRatio(progress), {
        requests: requestsText(progress),
        simulated: secondsText(progress.simulatedNs / 1e9),
      });
    },
    stop: () => bar.stop(),
  };
}

/** Shows which share of a work is done, 0 to 1. */
export interface WorkView {
  update(ratio: number): void;
  stop(): void;
}

/** A bar with time left on a terminal; nothing in a pipe. `what`: what is done, in a word or two. */
export function workView(stderr: CliStream, what: string, nowNs: () => number = wallNs): WorkView {
  if (stderr.isTTY !== true) return SILENT;
  const bar = new RatioBar(stderr, what, nowNs);
  return { update: (ratio) => bar.update(ratio, {}), stop: () => bar.stop() };
}

/** What `work` returns; the view is stopped before an error of it is printed. */
export function untilStopped<T>(view: WorkView, work: () => T): T {
  try {
    return work();
  } finally {
    view.stop();
  }
}

/** `middle`: what stands between the share and the time left; names in braces are values of `update`. */
class RatioBar {
  private readonly bar: cliProgress.SingleBar;
  private readonly nowNs: () => number;
  private readonly startNs: number;
  private started = false;

  constructor(stderr: CliStream, middle: string, nowNs: () => number) {
    this.bar = new cliProgress.SingleBar(
      {
        stream: stderr as unknown as NodeJS.WritableStream,
        format: `{bar} {percentage}% | ${middle} | left {left}`,
        hideCursor: true,
        clearOnComplete: true,
        // Redraws follow `update`, which the work calls between its steps: no timer competes with it.
        fps: 10,
      },
      cliProgress.Presets.shades_classic,
    );
    this.nowNs = nowNs;
    this.startNs = nowNs();
  }

  update(ratio: number, values: Readonly<Record<string, string>>): void {
    const left = ratio > 0 ? secondsText((((this.nowNs() - this.startNs) / 1e9) * (1 - ratio)) / ratio) : '?';
    if (this.started) this.bar.update(Math.round(1000 * ratio), { ...values, left });
    else this.bar.start(1000, Math.round(1000 * ratio), { ...values, left });
    this.started = true;
  }

  stop(): void {
    if (this.started) this.bar.stop();
  }
}

/** Share of the run that is done: by requests where their number is known, by the trace read, or by simulated time; else 0. */
export function progressRatio(progress: RunProgress): number {
  const { requestsExpected, traceReadRatio, durationExpectedNs } = progress;
  if (requestsExpected !== null && requestsExpected > 0) return Math.min(1, progress.requestsEnded / requestsExpected);
  if (traceReadRatio !== null) return traceReadRatio;
  if (durationExpectedNs !== null && durationExpectedNs > 0) {
    return Math.min(1, progress.simulatedNs / durationExpectedNs);
  }
  return 0;
}

function requestsText(progress: RunProgress): string {
  const ended = progress.requestsEnded.toLocaleString('en-US');
  return progress.requestsExpected === null ? ended : `${ended}/${progress.requestsExpected.toLocaleString('en-US')}`;
}

/** Seconds as `1h02m03s`, `2m03s` or `3.2s`. */
export function secondsText(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours === 0 ? `${minutes}m${two(whole % 60)}s` : `${hours}h${two(minutes)}m${two(whole % 60)}s`;
}
