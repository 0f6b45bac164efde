import { describe, expect, it } from 'vitest';
import { progressRatio, progressView, secondsText, untilStopped, workView } from '../../src/cli/progress-bar.ts';
import type { RunProgress } from '../../src/runtime/run-spec.ts';

const PROGRESS: RunProgress = {
  requestsEnded: 250,
  requestsExpected: null,
  traceReadRatio: null,
  simulatedNs: 30e9,
  durationExpectedNs: null,
};

describe('how far a run is', () => {
  it('goes by requests, else by the trace, else by time, else it is unknown', () => {
    expect(progressRatio({ ...PROGRESS, requestsExpected: 1000, traceReadRatio: 0.5 })).toBe(0.25);
    expect(progressRatio({ ...PROGRESS, traceReadRatio: 0.5, durationExpectedNs: 40e9 })).toBe(0.5);
    expect(progressRatio({ ...PROGRESS, durationExpectedNs: 40e9 })).toBe(0.75);
    expect(progressRatio(PROGRESS)).toBe(0);
  });

  it('never goes beyond the end', () => {
    expect(progressRatio({ ...PROGRESS, requestsExpected: 100 })).toBe(1);
    expect(progressRatio({ ...PROGRESS, durationExpectedNs: 1e9 })).toBe(1);
  });
});

describe('the bar', () => {
  const shown = (isTTY: boolean, quiet: boolean, progress: RunProgress): string => {
    let text = '';
    let timeNs = 0;
    const stderr = { write: (chunk: string) => (text += chunk), isTTY, columns: 120 };
    const view = progressView(stderr, quiet, () => timeNs);
    timeNs = 60e9;
    view.update(progress);
    view.stop();
    return text;
  };

  it('shows share, requests, simulated time and time left', () => {
    expect(shown(true, false, { ...PROGRESS, requestsExpected: 1000 })).toContain(
      '25% | 250/1,000 requests | simulated 30.0s | left 3m00s',
    );
  });

  it('does not guess the time left before there is progress', () => {
    expect(shown(true, false, PROGRESS)).toContain('0% | 250 requests | simulated 30.0s | left ?');
  });

  it('is silent in a pipe and when asked to be', () => {
    expect(shown(false, false, PROGRESS)).toBe('');
    expect(shown(true, true, PROGRESS)).toBe('');
  });
});

describe('the bar of a work', () => {
  const shown = (isTTY: boolean, ratios: readonly number[]): string => {
    let text = '';
    let timeNs = 0;
    const stderr = { write: (chunk: string) => (text += chunk), isTTY, columns: 120 };
    const view = workView(stderr, 'stages', () => timeNs);
    timeNs = 20e9;
    untilStopped(view, () => {
      ratios.forEach(view.update);
    });
    return text;
  };

  it('shows share, what and time left, and nothing in a pipe', () => {
    expect(shown(true, [0.25])).toContain('25% | stages | left 1m00s');
    expect(shown(false, [0.25])).toBe('');
  });

  it('stops when the work fails', () => {
    const calls: string[] = [];
    const view = { update() {}, stop: () => calls.push('stop') };
    expect(() =>
      untilStopped(view, () => {
        throw new Error('no such file');
      }),
    ).toThrow('no such file');
    expect(calls).toEqual(['stop']);
  });
});

describe('seconds', () => {
  it.each([
    [0, '0.0s'],
    [3.25, '3.3s'],
    [59.9, '59.9s'],
    [125, '2m05s'],
    [3723, '1h02m03s'],
  ])('%d is %s', (seconds, text) => {
    expect(secondsText(seconds)).toBe(text);
  });
});
