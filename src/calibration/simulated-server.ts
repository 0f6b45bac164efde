import { assembleEngine, openBackend } from '../backends/open-backend.ts';
import {
  type DeviceOperators,
  type DeviceProfile,
  defaultSampling,
  deviceSpec,
  type EngineHostProfile,
  type MemoryPlan,
  type ModelShape,
  samplesWithPenalties,
  type TimingModel,
} from '../backends/simulated/index.ts';
import { type Engine, engineConfig, type VirtualClock } from '../core/index.ts';
import { Frontend } from '../simulation/frontend.ts';

/** A server as somebody measured one. */
export interface MeasuredServer {
  /** Hugging Face repository: decides how it samples. */
  readonly repository: string;
  readonly model: ModelShape;
  readonly profile: DeviceProfile;
  readonly operators: DeviceOperators;
  readonly memory: MemoryPlan;
  readonly tensorParallel: number;
  readonly tokensPerStepMax: number;
  readonly sequencesMax: number;
  readonly blockSize: number;
}

/** The same as an engine on a clock of its own, with what lies between it and its clients. */
export class SimulatedServer {
  readonly clock: VirtualClock;
  readonly engine: Engine;
  readonly frontend: Frontend;
  /** Step times without stalls. */
  readonly steady: TimingModel;

  constructor(server: MeasuredServer, host: EngineHostProfile, seed: number | string) {
    const { repository, model, profile, operators, memory, tensorParallel, blockSize } = server;
    const { tokensPerStepMax, sequencesMax } = server;
    const device = deviceSpec(profile.device);
    const timing = {
      profile,
      host,
      sampling: defaultSampling(repository),
      samplingPenalties: samplesWithPenalties(repository),
      schedulerCosts: false,
    };
    const config = engineConfig('vllm-v1', {
      blockSize,
      blocksTotal: memory.blocksTotal,
      sequencesMax,
      tokensPerStepMax,
      modelLenMax: model.positionsMax,
      fastForward: false,
    });
    const spec = {
      model,
      device,
      tensorParallel,
      memory,
      timing,
      faults: [],
      seed: 0,
      acceptanceRates: null,
      answers: null,
    };
    const opened = openBackend({ kind: 'simulated', ...spec }, { config, operators, time: { kind: 'virtual' } });
    this.clock = opened.clock;
    this.engine = assembleEngine(opened, { config, listeners: [] });
    this.frontend = new Frontend(host, seed);
    this.steady = opened.simulation.timing.steady;
  }
}
