import * as timers from 'node:timers/promises';
import type { TraceWorkload } from '../../replay/open-trace.ts';
import { assembleEngine, openBackend } from '../backends/open-backend.ts';
import type { HostFaults } from '../backends/simulated/index.ts';
import type { Engine, EngineEvents, VirtualClock } from '../core/index.ts';
import { diagnose, diagnosisText } from '../observability/index.ts';
import { Frontend } from '../simulation/frontend.ts';
import { RunRecorder } from '../simulation/run-recorder.ts';
import { summarise } from '../simulation/run-summary.ts';
import type { Workload } from '../simulation/workload.ts';
import { WorkloadFeed } from '../simulation/workload-feed.ts';
import { openWorkload } from './open-workload.ts';
import { openOutput, type RunOutput } from './run-output.ts';
import type { RunHooks, RunOutcome, RunSpec } from './run-spec.ts';
import { wallNs } from './system-clock.ts';
import { simulatedSpec, timingContext, timingSource } from './timing-source.ts';

/** Simulated time between two looks at the wall clock, and wall time between two progress reports. */
const SLICE_NS = 10e9;
const PROGRESS_NS = 100e6;

/**
 * Runs a specification from the first arrival to the last record on a virtual clock. Throws what the workload throws for
 * bad input (TraceError, ConfigError), InputError for output that cannot be written or compared, and InvariantError when a
 * law of the engine or of the books is broken.
 */
export async function runSimulation(spec: RunSpec, hooks: RunHooks = {}): Promise<RunOutcome> {
  const output = await openOutput(spec, hooks.command ?? '', hooks.observers);
  try {
    return await runInto(output, spec, hooks);
  } finally {
    output.abandon();
  }
}

async function runInto(output: RunOutput, spec: RunSpec, hooks: RunHooks): Promise<RunOutcome> {
  const source = timingSource(spec);
  const startNs = wallNs();
  const workload = openWorkload(spec);
  try {
    const opened = openBackend(simulatedSpec(spec, source), { config: spec.engine, time: { kind: 'virtual' } });
    const { clock, simulation } = opened;
    const gauges = {
      blocksTotal: spec.engine.blocksTotal,
      blocksUsed: () => engine.kv.pool.used,
      blocksCached: () => engine.kv.blocksCached,
    };
    const frontend = source.host === null ? null : new Frontend(source.host, spec.seed);
    const recorder = new RunRecorder({ gauges, digest: spec.output.digest, records: output.records, frontend });
    const observers = [...(hooks.observers ?? []), ...output.observers];
    const listeners: EngineEvents[] = [recorder, ...observers.map((observer) => observer.events)];
    if (output.decisions !== null) listeners.push(output.decisions);
    const singleSteps = output.decisions !== null || observers.some((observer) => observer.singleSteps === true);
    const engine = assembleEngine(opened, { config: spec.engine, listeners, singleSteps });
    const faults = simulation.attach(engine);
    recorder.attach(engine.kv.tables, engine.kv.tableStride);
    output.attach(engine);
    const feed = new WorkloadFeed(engine, clock, workload, frontend);
    let read = false;
    const ended = () => read && feed.delivered && engine.idle;
    for (const observer of observers) observer.attach(engine, clock, ended);
    const workloadRead = () => {
      read = true;
    };
    await drive({ engine, clock, workload, feed, output, hooks, faults, workloadRead });
    recorder.close();
    for (const observer of observers) observer.close?.(clock.nowNs());
    const wallSeconds = (wallNs() - startNs) / 1e9;
    if (simulation.checked) engine.check(clock.nowNs());
    const run = recorder.finish();
    const summary = summarise(run, {
      scenario: spec.scenario,
      seed: spec.seed,
      wallSeconds,
      targets: spec.targets,
      gpuComputeUtilization: run.simulatedNs > 0 ? Math.min(1, simulation.backend.busyTotalNs / run.simulatedNs) : null,
      ...timingContext(spec, source, simulation.timing, run),
    });
    const files = await output.close(run, summary);
    const bad = isTrace(workload) ? workload : null;
    return {
      run,
      summary,
      verification: output.verification(),
      files,
      badRows: bad?.badRows ?? 0,
      firstBadRow: bad?.badRowMessages[0] ?? null,
    };
  } finally {
    workload.close();
  }
}

function isTrace(workload: Workload): workload is TraceWorkload {
  return 'badRows' in workload;
}

interface Drive {
  readonly engine: Engine;
  readonly clock: VirtualClock;
  readonly workload: Workload;
  readonly feed: WorkloadFeed;
  readonly output: RunOutput;
  readonly hooks: RunHooks;
  readonly faults: HostFaults;
  readonly workloadRead: () => void;
}

async function drive(run: Drive): Promise<void> {
  const { engine, clock, workload, feed, output, hooks, faults } = run;
  let reportedNs = wallNs();
  const report = async () => {
    const drained = output.drain();
    if (drained !== null) await drained;
    if (hooks.progress === undefined || wallNs() - reportedNs < PROGRESS_NS) return;
    reportedNs = wallNs();
    hooks.progress({
      requestsEnded: feed.ended,
      requestsExpected: workload.requestsExpected,
      simulatedNs: clock.nowNs(),
      durationExpectedNs: workload.durationExpectedNs,
      traceReadRatio: isTrace(workload) ? workload.bytesRead / workload.bytesTotal : null,
    });
    // Lets the terminal draw and signals in.
    await timers.setImmediate();
  };
  for (;;) {
    const next = workload.next();
    const batch = next instanceof Promise ? await next : next;
    if (batch === null) break;
    feed.load(batch);
    while (!feed.empty) {
      clock.run(clock.nextNs() + SLICE_NS);
      await report();
    }
  }
  run.workloadRead();
  // Faults that are due when all work is done are of no consequence: the run does not wait for them.
  while (clock.armed > faults.armed || (faults.armed > 0 && !engine.idle)) {
    clock.run(clock.nextNs() + SLICE_NS);
    await report();
  }
  if (engine.idle) return;
  throw new Error(
    `the workload has ended, the clock is empty and requests are left\n${diagnosisText(diagnose(engine))}`,
  );
}
