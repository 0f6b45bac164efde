import type { ExpertShape } from './expert-shape.ts';
import type { StepLoad, TimingModel } from './timing-model.ts';

export interface StallingOptions {
  readonly experts: ExpertShape;
  /** Steps up to here replay captured graphs, whose kernels are compiled before the server is ready. */
  readonly captureTokens: number;
  /** The engine tries a step of this many tokens at its start. */
  readonly tokensPerStepMax: number;
  /** What a variant that did not occur before takes, ns. */
  readonly compileNs: number;
}

/** Token counts that grouped products of fused experts are tuned for: the closest one decides (vLLM 0.15, `fused_moe/configs`). */
const TUNED_TOKENS = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 1536, 2048, 3072, 4096];
/** Triton compiles a kernel again where an integer argument is a multiple of this for the first time, or is none. */
const DIVISOR = 16;

/**
 * Steps that take longer once: Triton compiles the grouped products of fused experts when a variant first occurs, and the step waits. Variants
 * differ by what they were tuned for, and by whether two arguments are multiples of 16: the routed rows (tokens x experts per token), and those with
 * the room to fill a tile for each expert (vLLM 0.15, `moe_align_block_size` and `fused_moe_kernel`). The only timing model with a memory: one
 * instance per server, from its start.
 */
export class StallingTimingModel implements TimingModel {
  private readonly inner: TimingModel;
  private readonly options: StallingOptions;
  private readonly compiled = new Set<number>();

  constructor(inner: TimingModel, options: StallingOptions) {
    this.inner = inner;
    this.options = options;
    this.compiled.add(this.variant(options.captureTokens));
    this.compiled.add(this.variant(options.tokensPerStepMax));
  }

  stepNs(load: StepLoad, decodeContextTokens: number): number {
    const ns = this.inner.stepNs(load, decodeContextTokens);
    const tokens = load.prefillTokens + load.decodeTokens;
    if (tokens <= this.options.captureTokens) return ns;
    const variant = this.variant(tokens);
    if (this.compiled.has(variant)) return ns;
    this.compiled.add(variant);
    return ns + this.options.compileNs;
  }

  private variant(tokens: number): number {
    const { count, perToken } = this.options.experts;
    const tuned = closest(TUNED_TOKENS, tokens);
    const tile = tuned >= 1024 ? 128 : 64;
    const rows = tokens * perToken;
    const padded = rows + count * (tile - 1);
    return 4 * tuned + (rows % DIVISOR === 0 ? 2 : 0) + (padded % DIVISOR === 0 ? 1 : 0);
  }

  stepBytes(load: StepLoad, decodeContextTokens: number): number {
    return this.inner.stepBytes(load, decodeContextTokens);
  }

  swapNs(blocksOut: number, blocksIn: number): number {
    return this.inner.swapNs(blocksOut, blocksIn);
  }

  copyNs(blocks: number): number {
    return this.inner.copyNs(blocks);
  }
}

/** The first of the closest values. */
function closest(values: readonly number[], wanted: number): number {
  let best = values[0]!;
  for (const value of values) if (Math.abs(value - wanted) < Math.abs(best - wanted)) best = value;
  return best;
}
