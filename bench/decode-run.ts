import {
  catalogueModel,
  H100_SXM,
  ModelledHostTimer,
  RooflineTimingModel,
  SimulatedBackend,
} from '../src/backends/simulated/index.ts';
import {
  type Backend,
  Engine,
  type EngineConfig,
  type EngineEvents,
  engineConfig,
  NO_SINK,
  Request,
  StreamTokens,
  VirtualClock,
} from '../src/core/index.ts';

export const SEQUENCES = 256;
const OUTPUT_TOKENS = 2000;
const GIB = 2 ** 30;
const TIMING = new RooflineTimingModel(catalogueModel('llama-3.1-8b'), H100_SXM, 16, {
  tensorParallel: 1,
  tokensPerStepMax: 8192,
});

/** Who listens to a run: made before its engine, told of it before the first request. */
export interface RunListener {
  readonly events: EngineEvents | null;
  attach(engine: Engine): void;
}

/** 256 sequences decode to their end on the simulated device; its wall time, ms, and its steps. */
export function decodeRun(
  stepsMax: number,
  listen: (config: EngineConfig, backend: Backend) => RunListener,
): { readonly ms: number; readonly steps: number } {
  const clock = new VirtualClock();
  const blocksTotal = 40_000;
  const config = engineConfig('twinfer', {
    blocksTotal,
    sequencesMax: SEQUENCES,
    tokensPerStepMax: 8192,
    modelLenMax: 8192,
  });
  const memory = {
    totalBytes: 80 * GIB,
    budgetBytes: 72 * GIB,
    weightBytes: 16 * GIB,
    activationBytes: GIB,
    runtimeBytes: GIB,
    blockBytes: 2 ** 20,
    kvBytes: blocksTotal * 2 ** 20,
    blocksTotal,
    hostBlocksTotal: 0,
  };
  const device = { clock, device: H100_SXM, tensorParallel: 1, memory, timing: TIMING };
  const steps = { stepsInFlight: config.stepsInFlight, stepsMax };
  const backend = new SimulatedBackend({ ...device, ...steps, acceptance: null, faults: null });
  const listener = listen(config, backend);
  const engine = new Engine({ config, clock, backend, events: listener.events, hostTimer: new ModelledHostTimer() });
  listener.attach(engine);
  for (let id = 0; id < SEQUENCES; id++)
    engine.submit(
      new Request(id, 0, { prompt: new StreamTokens(128, id + 1), outputTokensMax: OUTPUT_TOKENS }),
      NO_SINK,
    );
  const from = performance.now();
  clock.run();
  return { ms: performance.now() - from, steps: engine.totals.steps };
}
