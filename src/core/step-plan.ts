import { NONE } from './ids.ts';
import type { Sequence } from './sequence.ts';

/** Sizes of the arrays of a plan and its result; fixed when the engine is made. */
export interface PlanShape {
  readonly sequencesMax: number;
  readonly tokensPerStepMax: number;
  readonly draftTokensMax: number;
  /** Longest run of steps in one submission. */
  readonly stepsMax: number;
  /** Whether tokenIds and draftIds are to be filled: false for a backend that implies its tokens. */
  readonly tokenIds: boolean;
}

/**
 * One submission to a backend: rows in the scheduler's order, as a struct of arrays that is allocated once. The backend
 * owns it from `submit` to `done`. With `stepsMax` > 1 every row decodes one token per step, and the block growth of the
 * later steps is done by the engine when the run has ended (only a backend that implies its tokens may take such runs).
 */
export class StepPlan {
  /** Number of the first step of this submission, counted from 0 without gaps over the engine's life. */
  stepId = NONE;
  plannedNs = 0;
  /** The host's own work before the first step, ns (measured or modelled), and before each later one of a run. See `HostWork`. */
  hostNs = 0;
  laterHostNs = 0;

  /** Row i: arrays [0, rows). */
  rows = 0;
  readonly sequences: (Sequence | null)[];
  /** Row of the block table. */
  readonly slots: Int32Array;
  /** Tokens whose KV is there before this step. */
  readonly contextTokens: Int32Array;
  /** Tokens to compute, drafts included. */
  readonly newTokens: Int32Array;
  /** Of these the last `draftTokens` are drafts to verify. */
  readonly draftTokens: Int32Array;
  /** 1 when the row yields at least one output token (its last known token is computed in this step). */
  readonly samples: Uint8Array;

  /** Token ids of all rows, row after row; a NONE stands for a token that the step in flight will sample. */
  readonly tokenIds: Int32Array;
  /** draftIds[row * draftTokensMax ..]: ids of the drafts, filled by the proposer. */
  readonly draftIds: Int32Array;
  readonly draftTokensMax: number;

  /**
   * The pool's block tables: the table of slot s begins at s * tableStride. Shared with the KV cache, not a copy: with two
   * steps in flight a later plan changes them, so a backend that reads them after `submit` has returned keeps its own copy.
   */
  tables: Int32Array = new Int32Array(0);
  tableStride = 0;

  /** Block copies to make before the step, in order: pairs (source, destination). */
  copies: Int32Array;
  copyCount = 0;
  /** Swaps to make before the copies, in order: pairs (device, host) and (host, device). */
  swapOut: Int32Array;
  swapOutCount = 0;
  swapIn: Int32Array;
  swapInCount = 0;
  /** Blocks appended to tables by this plan, in the order of allocation: pairs (slot, block). */
  newBlocks: Int32Array;
  /** Step of the run (0 = the first) that needed each of them. */
  newBlockSteps: Int32Array;
  newBlockCount = 0;

  // Sums for a timing model that is O(1) in the batch.
  /** Rows that compute exactly their last known token (with drafts): decode. The others are prefill. */
  decodeRows = 0;
  /** Sum over decode rows of contextTokens. */
  decodeContextTokens = 0;
  /** Tokens computed by decode rows (rows + drafts). */
  decodeTokens = 0;
  prefillRows = 0;
  prefillTokens = 0;
  /** Sum over prefill rows of contextTokens. */
  prefillContextTokens = 0;
  /** Sum over prefill rows of new * (context + (new + 1) / 2): query-key pairs of causal attention. */
  prefillAttentionPairs = 0;
  /** Rows whose logits are sampled. */
  sampledRows = 0;
  /** Longest context after the step, over all rows. */
  contextTokensMax = 0;

  /** Steps that may run before the batch can change; 1 unless all rows decode. */
  stepsMax = 1;

  constructor(shape: PlanShape) {
    const rows = shape.sequencesMax;
    this.sequences = new Array<Sequence | null>(rows).fill(null);
    this.slots = new Int32Array(rows);
    this.contextTokens = new Int32Array(rows);
    this.newTokens = new Int32Array(rows);
    this.draftTokens = new Int32Array(rows);
    this.samples = new Uint8Array(rows);
    this.tokenIds = new Int32Array(shape.tokenIds ? shape.tokensPerStepMax : 0);
    this.draftTokensMax = shape.draftTokensMax;
    this.draftIds = new Int32Array(shape.tokenIds ? rows * shape.draftTokensMax : 0);
    this.copies = new Int32Array(2 * rows);
    this.swapOut = new Int32Array(256);
    this.swapIn = new Int32Array(256);
    this.newBlocks = new Int32Array(2 * rows + 256);
    this.newBlockSteps = new Int32Array(rows + 128);
  }

  /** Tokens computed by the step. */
  get tokens(): number {
    return this.prefillTokens + this.decodeTokens;
  }

  /** Begins a plan anew that had no rows, keeping the swaps that it has to make. */
  restart(stepId: number, plannedNs: number): void {
    const swaps = this.swapOutCount;
    this.reset(stepId, plannedNs);
    this.swapOutCount = swaps;
  }

  /** Empties the plan for a step; the arrays keep their old content. */
  reset(stepId: number, plannedNs: number): void {
    for (let i = 0; i < this.rows; i++) this.sequences[i] = null;
    this.stepId = stepId;
    this.plannedNs = plannedNs;
    this.hostNs = 0;
    this.laterHostNs = 0;
    this.rows = 0;
    this.copyCount = 0;
    this.swapOutCount = 0;
    this.swapInCount = 0;
    this.newBlockCount = 0;
    this.stepsMax = 1;
    this.resetSums();
  }

  resetSums(): void {
    this.decodeRows = 0;
    this.decodeContextTokens = 0;
    this.decodeTokens = 0;
    this.prefillRows = 0;
    this.prefillTokens = 0;
    this.prefillContextTokens = 0;
    this.prefillAttentionPairs = 0;
    this.sampledRows = 0;
    this.contextTokensMax = 0;
  }

  /** Forgets the new blocks of a slot whose row was taken out again. */
  dropNewBlocks(slot: number): void {
    let kept = 0;
    for (let i = 0; i < this.newBlockCount; i++) {
      if (this.newBlocks[2 * i] === slot) continue;
      this.newBlocks[2 * kept] = this.newBlocks[2 * i]!;
      this.newBlocks[2 * kept + 1] = this.newBlocks[2 * i + 1]!;
      this.newBlockSteps[kept++] = this.newBlockSteps[i]!;
    }
    this.newBlockCount = kept;
  }

  addNewBlock(slot: number, block: number, step: number): void {
    const index = this.newBlockCount++;
    if (2 * index + 2 > this.newBlocks.length) {
      this.newBlocks = grown(this.newBlocks);
      this.newBlockSteps = grown(this.newBlockSteps);
    }
    this.newBlocks[2 * index] = slot;
    this.newBlocks[2 * index + 1] = block;
    this.newBlockSteps[index] = step;
  }

  addCopy(source: number, destination: number): void {
    const at = 2 * this.copyCount++;
    if (at + 2 > this.copies.length) this.copies = grown(this.copies);
    this.copies[at] = source;
    this.copies[at + 1] = destination;
  }

  addSwapOut(device: number, host: number): void {
    const at = 2 * this.swapOutCount++;
    if (at + 2 > this.swapOut.length) this.swapOut = grown(this.swapOut);
    this.swapOut[at] = device;
    this.swapOut[at + 1] = host;
  }

  addSwapIn(host: number, device: number): void {
    const at = 2 * this.swapInCount++;
    if (at + 2 > this.swapIn.length) this.swapIn = grown(this.swapIn);
    this.swapIn[at] = host;
    this.swapIn[at + 1] = device;
  }
}

function grown(array: Int32Array): Int32Array {
  const larger = new Int32Array(2 * array.length + 2);
  larger.set(array);
  return larger;
}

/**
 * ok; transient: nothing was computed, the same work may be tried again; sticky: the sequences of this step are lost, the
 * device goes on; device-lost: everything on the device is lost and it takes no more work.
 */
export const STEP_FAILURES = ['transient', 'sticky', 'device-lost'] as const;
export type StepFailure = (typeof STEP_FAILURES)[number];
export const STEP_STATUSES = ['ok', ...STEP_FAILURES] as const;
export type StepStatus = (typeof STEP_STATUSES)[number];

/** What a backend reports of one submission. */
export class StepResult {
  status: StepStatus = 'ok';
  /** For a status that is not ok: one line for the log and the client. */
  message = '';
  /** Steps run, 1 .. plan.stepsMax (0 when the status is not ok). */
  stepsRun = 0;
  /** durationsNs[i]: length of step i of the run, integer nanoseconds, at least 1. */
  readonly durationsNs: Float64Array;
  /** Drafts accepted per row (a prefix of its drafts). */
  readonly acceptedDrafts: Int32Array;
  /** Output ids: tokens[row * (draftTokensMax + 1) ..], accepted drafts then the sampled one. Unused when implied. */
  readonly tokens: Int32Array;
  /** 1 when the model itself ended the row's sequence with the last token of this submission (backends that imply tokens). */
  readonly ended: Uint8Array;
  /** Of the tokens of an ended row, how many count; only with drafts it can be fewer than accepted + 1. */
  readonly endedTokens: Int32Array;

  constructor(shape: PlanShape) {
    this.durationsNs = new Float64Array(shape.stepsMax);
    this.acceptedDrafts = new Int32Array(shape.sequencesMax);
    this.tokens = new Int32Array(shape.tokenIds ? shape.sequencesMax * (shape.draftTokensMax + 1) : 0);
    this.ended = new Uint8Array(shape.sequencesMax);
    this.endedTokens = new Int32Array(shape.sequencesMax);
  }

  /** The engine calls it before `submit`. */
  reset(rows: number): void {
    this.status = 'ok';
    this.message = '';
    this.stepsRun = 0;
    for (let row = 0; row < rows; row++) {
      this.acceptedDrafts[row] = 0;
      this.ended[row] = 0;
    }
  }

  /** Fails the submission. */
  fail(status: StepFailure, message: string): void {
    this.status = status;
    this.message = message;
    this.stepsRun = 0;
  }
}
