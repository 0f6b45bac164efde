import { type DeviceSpec, deviceSpec } from './device.ts';
import { DeviceOperators } from './device-operators.ts';
import type { DeviceProfile, SamplingKind } from './device-profile.ts';
import {
  captureTokensLimit,
  type DeviceTimeScale,
  type EngineHostProfile,
  paddedTokens,
  UNIT_SCALE,
} from './engine-host-profile.ts';
import type { ModelShape } from './model-shape.ts';
import type { StepLoad, TimingModel } from './timing-model.ts';

export interface CalibratedOptions {
  readonly tensorParallel: number;
  readonly blockSize: number;
  readonly tokensPerStepMax: number;
  readonly sequencesMax: number;
  /** What is set for the requests: the sampler sorts for top-p, and for top-k as well; `plain` unless told. */
  readonly sampling?: SamplingKind;
  /** A repetition, presence or frequency penalty is set for the requests: the sampler counts the tokens of every row. */
  readonly samplingPenalties?: boolean;
  /** Made before for this profile, model and parallelism: spares the tables. */
  readonly operators?: DeviceOperators;
}

/** Work of a sampled row as the model knows it. */
interface StepCosts {
  readonly rowNs: number;
  readonly sampledNs: number;
  readonly piecewiseNs: number;
}

/**
 * Step times from measured kernels (`DeviceProfile`) and the engine around them (`EngineHostProfile`; null: kernels alone, one after the
 * other). Kernels add up: inference engines run them in one stream. A step of up to the largest captured CUDA graph is padded to the next
 * captured size; a larger one is launched kernel by kernel. Prompts and decodes of a step share one attention launch.
 * Everything that the number of tokens decides is a table made at the start. No component is faster than the roofline of the measured peaks.
 */
export class CalibratedTimingModel implements TimingModel {
  readonly operators: DeviceOperators;
  /** Parts of the model that lie outside of the measured tables. */
  readonly extrapolations: readonly string[];
  private readonly device: DeviceSpec;
  private readonly blockSize: number;
  private readonly scale: DeviceTimeScale;
  private readonly costs: StepCosts;
  private readonly captureTokens: number;
  /** linear[t]: everything of a step of t tokens (not padded) but attention, logits and rows, ns. */
  private readonly linear: Float64Array;
  /** logits[r]: LM head and sampling of r rows. */
  private readonly logits: Float64Array;
  private readonly layers: number;
  private readonly kvBytesPerToken: number;
  private readonly logitsBytes: number;

  constructor(profile: DeviceProfile, model: ModelShape, host: EngineHostProfile | null, options: CalibratedOptions) {
    const kind = options.sampling ?? 'plain';
    const operators = options.operators ?? new DeviceOperators(profile, model, options);
    this.operators = operators;
    this.extrapolations = operators.extrapolations;
    this.device = deviceSpec(profile.device);
    this.blockSize = options.blockSize;
    this.scale = host === null ? UNIT_SCALE : host.scale;
    this.layers = model.layers;
    this.kvBytesPerToken = operators.shard.kvBytesPerToken;
    this.logitsBytes = operators.shard.vocabSize * model.hiddenSize * 2;
    this.captureTokens = host === null ? 0 : captureTokensLimit(host, options.sequencesMax);
    this.costs = {
      rowNs: host?.perSequenceNs ?? 0,
      sampledNs:
        host === null ? 0 : host.perOutputTokenNs + (kind === 'plain' ? 0 : host.samplingNsPerVocab * model.vocabSize),
      piecewiseNs: model.layers * (host?.piecewiseNsPerLayer ?? 0),
    };
    this.linear = this.linearTimes(host);
    const sampling = operators.sampling[kind];
    const penalties = options.samplingPenalties === true ? operators.sampling.penalties : null;
    this.logits = operators.logits.map(
      (ns, rows) => ns * this.scale.gemm + sampling[rows]! * this.scale.sampling + (penalties?.[rows] ?? 0),
    );
  }

  stepNs(load: StepLoad, decodeContextTokens: number): number {
    const { operators, scale, layers, costs } = this;
    const tokens = load.prefillTokens + load.decodeTokens;
    // Every draft is verified by logits of its own.
    const logitRows = load.sampledRows + load.decodeTokens - load.decodeRows;
    let ns = lookUp(this.linear, tokens) + lookUp(this.logits, logitRows);
    ns += (load.decodeRows + load.prefillRows) * costs.rowNs + logitRows * costs.sampledNs;
    if (load.decodeRows > 0) {
      const context = decodeContextTokens + load.decodeTokens;
      const time = operators.decode.timeNs(load.decodeRows, context) * scale.decodeAttention;
      ns += layers * Math.max(time, context * operators.decode.nsPerTokenMin);
    }
    if (load.prefillRows > 0) {
      const { prefill } = operators;
      const pairs = load.prefillAttentionPairs;
      const read = load.prefillContextTokens + load.prefillTokens;
      const time = prefill.timeNs(load.prefillRows, pairs, read) * scale.prefillAttention;
      ns += layers * Math.max(time, pairs * prefill.nsPerPairMin);
      if (load.decodeRows > 0) ns -= layers * Math.min(prefill.floorNs, operators.decode.floorNs);
      if (tokens <= this.captureTokens) ns += costs.piecewiseNs;
    }
    return ns >= 1.5 ? Math.round(ns) : 1;
  }

  stepBytes(load: StepLoad, decodeContextTokens: number): number {
    const tokens = load.prefillTokens + load.decodeTokens;
    const { weightBytes } = this.operators;
    return (
      weightBytes[Math.min(tokens, weightBytes.length - 1)]! +
      (load.sampledRows > 0 ? this.logitsBytes : 0) +
      (decodeContextTokens + load.prefillContextTokens + tokens) * this.kvBytesPerToken
    );
  }

  swapNs(blocksOut: number, blocksIn: number): number {
    const { device } = this;
    const perBlock =
      (this.blockSize * this.kvBytesPerToken * 1e9) / (device.pcieBytesPerSecond * device.efficiency.pcie);
    let ns = 0;
    if (blocksOut > 0) ns += device.floors.transferNs + blocksOut * perBlock;
    if (blocksIn > 0) ns += device.floors.transferNs + blocksIn * perBlock;
    return Math.round(ns);
  }

  copyNs(blocks: number): number {
    if (blocks === 0) return 0;
    const { elementwise } = this.operators.profile;
    // A copy reads and writes.
    const bytes = 2 * blocks * this.blockSize * this.kvBytesPerToken;
    return Math.round(elementwise.floorNs + (bytes * 1e9) / elementwise.bytesPerSecond);
  }

  private linearTimes(host: EngineHostProfile | null): Float64Array {
    const { operators, scale, layers } = this;
    const { gemm, gemmFloor, allReduce, elementwise } = operators;
    const launchNs = host?.perKernelNs ?? operators.profile.elementwise.floorNs;
    const experts = operators.shape.weightFormat === 'fp8' ? scale.moeFp8 : scale.moe;
    const parallel = operators.shard.tensorParallel > 1;
    const step = host === null ? 0 : host.perStepNs + (parallel ? host.perStepTensorParallelNs : 0);
    const waits = operators.allReduces * (host?.perCollectiveNs ?? 0);
    const fixed = step + waits + layers * ((host?.perLayerNs ?? 0) + operators.kernelsPerLayer * launchNs);
    const eager = layers * operators.launchesPerLayer * (host?.eagerNsPerLayerKernel ?? 0);
    const linear = new Float64Array(operators.tokensMax + 1);
    for (let tokens = 1; tokens <= operators.tokensMax; tokens++) {
      const padded = Math.min(paddedTokens(tokens, this.captureTokens), operators.tokensMax);
      linear[tokens] =
        fixed +
        Math.max(gemm[padded]! * scale.gemm, gemmFloor[padded]!) +
        operators.expertNs(padded, experts, host?.routeSkew ?? 0) +
        allReduce[padded]! * scale.allReduce +
        elementwise[padded]! * scale.elementwise +
        (tokens > this.captureTokens ? eager : 0);
    }
    return linear;
  }
}

/** Beyond the table, times grow in proportion to the last entry. */
function lookUp(times: Float64Array, index: number): number {
  const last = times.length - 1;
  return index <= last ? times[index]! : (times[last]! * index) / last;
}
