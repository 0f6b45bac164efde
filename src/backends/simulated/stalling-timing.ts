import type { StepLoad, TimingModel } from './timing-model.ts';

/**
 * Steps that take longer once: the first large steps of a fused mixture of experts compile kernels for their shapes, so the step of the n-th
 * first-time prompt stalls. The only timing model with a memory: one instance per server, from its start.
 */
export class StallingTimingModel implements TimingModel {
  private readonly inner: TimingModel;
  private readonly blockSize: number;
  private readonly at: readonly number[];
  private readonly stallNs: number;
  private coldPrompts = 0;
  private next = 0;

  /** `at`: numbers of the first-time prompts that stall, rising, the first being 1. */
  constructor(inner: TimingModel, blockSize: number, at: readonly number[], stallNs: number) {
    this.inner = inner;
    this.blockSize = blockSize;
    this.at = at;
    this.stallNs = stallNs;
  }

  stepNs(load: StepLoad, decodeContextTokens: number): number {
    let ns = this.inner.stepNs(load, decodeContextTokens);
    // A prompt that was sent before leaves at most a block to compute.
    const cold = load.prefillTokens > load.prefillRows * 2 * this.blockSize;
    if (cold) this.coldPrompts += load.prefillRows;
    while (this.next < this.at.length && this.coldPrompts >= this.at[this.next]!) {
      this.next++;
      ns += this.stallNs;
    }
    return ns;
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
