import {
  type DeviceOperators,
  type DeviceProfile,
  defaultSampling,
  deviceSpec,
  type EngineHostProfile,
  engineTiming,
  type MemoryPlan,
  type ModelShape,
  SimulatedBackend,
  samplesWithPenalties,
  type TimingModel,
} from '../backends/simulated/index.ts';
import { Engine, engineConfig, VirtualClock } from '../core/index.ts';
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
  readonly clock = new VirtualClock();
  readonly engine: Engine;
  readonly frontend: Frontend;
  /** Step times without stalls. */
  readonly steady: TimingModel;

  constructor(server: MeasuredServer, host: EngineHostProfile, seed: number | string) {
    const { repository, model, profile, operators, memory, tensorParallel, blockSize } = server;
    const { tokensPerStepMax, sequencesMax } = server;
    const device = deviceSpec(profile.device);
    const source = {
      profile,
      host,
      sampling: defaultSampling(repository),
      samplingPenalties: samplesWithPenalties(repository),
      schedulerCosts: false,
    };
    const sizes = { tensorParallel, blockSize, tokensPerStepMax, sequencesMax, operators };
    const { timing, steady } = engineTiming(source, model, device, sizes);
    const config = engineConfig('vllm-v1', {
      blockSize,
      blocksTotal: memory.blocksTotal,
      sequencesMax,
      tokensPerStepMax,
      modelLenMax: model.positionsMax,
    });
    const backend = new SimulatedBackend({
      clock: this.clock,
      device,
      tensorParallel,
      memory,
      timing,
      stepsInFlight: config.stepsInFlight,
      stepsMax: 1,
      acceptance: null,
      faults: null,
    });
    this.engine = new Engine({ config, backend, clock: this.clock });
    this.frontend = new Frontend(host, seed);
    this.steady = steady;
  }
}
