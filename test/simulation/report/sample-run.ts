import { StepPlan, StepResult } from '../../../src/core/index.ts';
import { type RecordedRun, RunRecorder } from '../../../src/simulation/run-recorder.ts';
import { type RunSummary, summarise } from '../../../src/simulation/run-summary.ts';
import { finishedSequence, REJECTED } from '../finished-sequence.ts';

const SHAPE = { sequencesMax: 8, tokensPerStepMax: 64, draftTokensMax: 0, stepsMax: 32, tokenIds: false };

/** A small run through the recorder: twenty requests over twenty seconds, one refused, one preemption. */
export function sampleRun(scenario = 'sample'): { run: RecordedRun; summary: RunSummary } {
  const gauges = { blocksTotal: 100, blocksUsed: () => 50, blocksCached: () => 5 };
  const recorder = new RunRecorder({ gauges, digest: 'records', records: null });
  recorder.attach(new Int32Array(8 * 16), 16);
  const plan = new StepPlan(SHAPE);
  const result = new StepResult(SHAPE);
  plan.rows = 3;
  plan.decodeTokens = 3;
  result.durationsNs.fill(9e6);
  result.stepsRun = 4;
  const refused = finishedSequence({ id: 99 }, REJECTED);
  recorder.rejected(refused.request, 'never-fits', 0);
  recorder.finished(refused, 0);
  for (let id = 0; id < 20; id++) {
    const arrivalNs = id * 1e9;
    const sequence = finishedSequence({
      id,
      arrivalNs,
      admittedNs: arrivalNs,
      firstTokenNs: arrivalNs + 50e6,
      lastTokenNs: arrivalNs + 150e6,
      finishedNs: arrivalNs + 150e6,
    });
    recorder.received(sequence, arrivalNs);
    recorder.stepPlanned(plan, 2, 0, null, arrivalNs);
    recorder.stepFinished(plan, result, arrivalNs, arrivalNs + 36e6, 3, 0);
    recorder.finished(sequence, arrivalNs + 150e6);
  }
  recorder.preempted(refused, 'memory_pressure', false, 19.5e9);
  const run = recorder.finish();
  const summary = summarise(run, {
    scenario,
    seed: 42,
    wallSeconds: 0.25,
    targets: [
      { metric: 'ttft', statistic: 'p99', above: null, below: 0.2 },
      { metric: 'prefix_hit_ratio', statistic: null, above: 0.9, below: null },
    ],
    gpuComputeUtilization: null,
    timing: { model: 'calibrated', device: 'H100-SXM-80GB', host: 'vllm-0.15', extrapolations: [] },
    server: null,
  });
  return { run, summary };
}
