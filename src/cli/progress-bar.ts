import cliProgress from 'cli-progress';
import type { RunProgress } from '../runtime/run-spec.ts';
import { wallNs } from '../runtime/system-clock.ts';
import type { CliStream } from './cli-io.ts';

/** Shows how far a run is. `update` may be called often. */
export interface ProgressView {
  update(progress: RunProgress): void;
  stop(): void;
}

const SILENT: ProgressView = { update() {}, stop() {} };

/** A bar with time left and simulated time on a terminal; nothing in a pipe or when `quiet`. */
export function progressView(stderr: CliStream, quiet: boolean, nowNs: () => number = wallNs): ProgressView {
  if (quiet || stderr.isTTY !== true) return SILENT;
  const bar = new cliProgress.SingleBar(
    {
      stream: stderr as unknown as NodeJS.WritableStream,
      format: '{bar} {percentage}% | {requests} requests | simulated {simulated} | left {left}',
      hideCursor: true,
      clearOnComplete: true,
      // Redraws follow `update`, which the run calls between its steps: no timer competes with the simulation.
      fps: 10,
    },
    cliProgress.Presets.shades_classic,
  );
  const startNs = nowNs();
  let started = false;
  return {
    update(progress) {
      const ratio = progressRatio(progress);
      const payload = {
        requests: requestsText(progress),
        simulated: secondsText(progress.simulatedNs / 1e9),
        left: ratio > 0 ? secondsText((((nowNs() - startNs) / 1e9) * (1 - ratio)) / ratio) : '?',
      };
      if (!started) bar.start(1000, Math.round(1000 * ratio), payload);
      else bar.update(Math.round(1000 * ratio), payload);
      started = true;
    },
    stop() {
      if (started) bar.stop();
    },
  };
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
