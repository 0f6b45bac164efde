import {
  assert,
  type Backend,
  type BackendLimits,
  type Clock,
  NONE,
  PRIORITY,
  type StepDone,
  type StepPlan,
  type StepResult,
  type StepStatus,
  type Task,
} from '../../src/core/index.ts';
import { type HashModel, hiddenWord, nextToken, readWord, rootState, samplingKey } from './hash-model.ts';

export interface MemoryTrueOptions {
  readonly clock: Clock;
  readonly model: HashModel;
  readonly blockSize: number;
  readonly blocksTotal: number;
  readonly hostBlocksTotal: number;
  readonly sequencesMax: number;
  /**
   * Swaps and copies of a plan are made at `submit`, ahead of the step that still runs, as a copy stream of its own does.
   * Only fenced frees make that safe. Otherwise they are made in order, right before the plan's rows.
   */
  readonly copiesAhead: boolean;
  /**
   * Whether a row may read what an earlier row of the same step writes. Without it rows are computed last one first, so that
   * a row that counts on an earlier one finds nothing there.
   */
  readonly sameStepPrefixReads: boolean;
  /** Length of a step, at least 1 ns. */
  readonly durationNs: (stepId: number) => number;
  /** How a step fails, or null. The steps that are out behind a failed one fail with it. */
  readonly fault: (stepId: number) => Exclude<StepStatus, 'ok'> | null;
}

interface Submission {
  readonly plan: StepPlan;
  readonly result: StepResult;
  readonly done: StepDone;
  /** Each row's part of the block table, as it was at `submit`. */
  readonly tables: readonly Int32Array[];
}

/** Content of memory that its owner has not written. */
const POISON = -0x5ead;

/**
 * A backend that has a memory: KV words lie at physical block slots, and a sequence's context is read back through its block
 * table. It trusts nothing of the engine's books: positions come from contextTokens and the table alone, blocks that a plan
 * hands out are poisoned first, and rows write late, when the step ends, so that a block freed too early is written by two.
 */
export class MemoryTrueBackend implements Backend, Task {
  readonly limits: BackendLimits;
  submissions = 0;
  /** Blocks copied and swapped in: what a run has exercised. */
  copied = 0;
  swappedIn = 0;
  protected readonly options: MemoryTrueOptions;
  /** Two words per token: id and hidden. */
  private readonly device: Int32Array;
  private readonly host: Int32Array;
  private readonly wordsPerBlock: number;
  /** Last token sampled for each slot: what a NONE in a plan stands for. */
  private readonly sampled: Int32Array;
  private readonly out: Submission[] = [];
  private busyUntilNs = 0;
  private failing: Exclude<StepStatus, 'ok'> | null = null;

  constructor(options: MemoryTrueOptions) {
    this.options = options;
    this.wordsPerBlock = 2 * options.blockSize;
    this.device = new Int32Array(options.blocksTotal * this.wordsPerBlock).fill(POISON);
    this.host = new Int32Array(options.hostBlocksTotal * this.wordsPerBlock).fill(POISON);
    this.sampled = new Int32Array(options.sequencesMax).fill(POISON);
    this.limits = {
      blocksTotal: options.blocksTotal,
      hostBlocksTotal: options.hostBlocksTotal,
      stepsInFlightMax: 2,
      stepsMax: 1,
      impliedTokens: false,
      sameStepPrefixReads: options.sameStepPrefixReads,
    };
  }

  submit(plan: StepPlan, result: StepResult, done: StepDone): void {
    this.submissions++;
    const tables: Int32Array[] = [];
    for (let row = 0; row < plan.rows; row++) tables.push(this.tableRow(plan, row));
    this.out.push({ plan, result, done, tables });
    if (this.options.copiesAhead) this.moveBlocks(plan);
    const { clock } = this.options;
    const startNs = Math.max(clock.nowNs(), this.busyUntilNs);
    const durationNs = this.options.durationNs(plan.stepId);
    result.durationsNs[0] = durationNs;
    this.busyUntilNs = startNs + durationNs;
    clock.at(this.busyUntilNs, PRIORITY.stepDone, this);
  }

  /** The oldest submission ends. */
  run(): void {
    const { plan, result, done, tables } = this.out.shift()!;
    const fault = this.failing ?? this.options.fault(plan.stepId);
    if (fault === null) {
      if (!this.options.copiesAhead) this.moveBlocks(plan);
      this.writeRows(plan, tables);
      this.sampleRows(plan, result, tables);
      result.stepsRun = 1;
    } else {
      this.scribble(plan, tables);
      this.failing = this.out.length > 0 ? fault : null;
      result.fail(fault, `step ${plan.stepId}: ${fault}`);
    }
    done.stepDone(plan, result);
  }

  telemetry(): void {}

  close(): void {}

  /** A row's blocks, copied: the table belongs to the engine again when `submit` has returned. */
  protected tableRow(plan: StepPlan, row: number): Int32Array {
    const tokens = plan.contextTokens[row]! + plan.newTokens[row]!;
    const from = plan.slots[row]! * plan.tableStride;
    const table = plan.tables.slice(from, from + Math.ceil(tokens / this.options.blockSize));
    for (const block of table) assert(block >= 0 && block < this.options.blocksTotal, 'a table entry is a block');
    return table;
  }

  protected copyBlock(source: number, destination: number): void {
    this.moveWords(this.device, source, this.device, destination);
    this.copied++;
  }

  protected swapInBlock(host: number, block: number): void {
    this.moveWords(this.host, host, this.device, block);
    this.swappedIn++;
  }

  /** Swap-outs read before new blocks are poisoned: a block may be swapped out and handed out by one plan. */
  private moveBlocks(plan: StepPlan): void {
    const size = this.wordsPerBlock;
    for (let i = 0; i < plan.swapOutCount; i++) {
      this.moveWords(this.device, plan.swapOut[2 * i]!, this.host, plan.swapOut[2 * i + 1]!);
    }
    for (let i = 0; i < plan.newBlockCount; i++) {
      const block = plan.newBlocks[2 * i + 1]!;
      this.device.fill(POISON, block * size, (block + 1) * size);
    }
    for (let i = 0; i < plan.swapInCount; i++) this.swapInBlock(plan.swapIn[2 * i]!, plan.swapIn[2 * i + 1]!);
    for (let i = 0; i < plan.copyCount; i++) this.copyBlock(plan.copies[2 * i]!, plan.copies[2 * i + 1]!);
  }

  private moveWords(from: Int32Array, source: number, to: Int32Array, destination: number): void {
    const size = this.wordsPerBlock;
    assert(source >= 0 && (source + 1) * size <= from.length, 'a block is read inside its memory');
    assert(destination >= 0 && (destination + 1) * size <= to.length, 'a block is written inside its memory');
    to.set(from.subarray(source * size, (source + 1) * size), destination * size);
  }

  /** Index of the two words of a position. */
  private wordAt(table: Int32Array, position: number): number {
    const { blockSize } = this.options;
    const block = table[Math.floor(position / blockSize)];
    assert(block !== undefined, 'a position lies inside the table');
    return block * this.wordsPerBlock + 2 * (position % blockSize);
  }

  /** Reads positions [from, to) through the table, on top of a state. */
  private read(table: Int32Array, from: number, to: number, state: number): number {
    for (let position = from; position < to; position++) {
      const at = this.wordAt(table, position);
      state = readWord(state, this.device[at]!, this.device[at + 1]!);
    }
    return state;
  }

  /** First all rows write. */
  private writeRows(plan: StepPlan, tables: readonly Int32Array[]): void {
    const { rows } = plan;
    const firstIds = new Int32Array(rows + 1);
    for (let row = 0; row < rows; row++) firstIds[row + 1] = firstIds[row]! + plan.newTokens[row]!;
    for (let i = 0; i < rows; i++) {
      const row = this.options.sameStepPrefixReads ? i : rows - 1 - i;
      this.writeRow(plan, row, tables[row]!, firstIds[row]!);
    }
  }

  private writeRow(plan: StepPlan, row: number, table: Int32Array, firstId: number): void {
    const context = plan.contextTokens[row]!;
    let state = this.read(table, 0, context, rootState(plan.sequences[row]!.request.cacheSalt));
    for (let i = 0; i < plan.newTokens[row]!; i++) {
      const given = plan.tokenIds[firstId + i]!;
      const id = given === NONE ? this.sampled[plan.slots[row]!]! : given;
      const hidden = hiddenWord(state, id);
      const at = this.wordAt(table, context + i);
      this.device[at] = id;
      this.device[at + 1] = hidden;
      state = readWord(state, id, hidden);
    }
  }

  /** Then each row reads its whole context anew and samples; drafts are kept as long as they are what it would have said. */
  private sampleRows(plan: StepPlan, result: StepResult, tables: readonly Int32Array[]): void {
    const { model } = this.options;
    for (let row = 0; row < plan.rows; row++) {
      if (plan.samples[row] === 0) continue;
      const sequence = plan.sequences[row]!;
      const key = samplingKey(sequence.request.sampling, sequence.index);
      const table = tables[row]!;
      const drafts = plan.draftTokens[row]!;
      const end = plan.contextTokens[row]! + plan.newTokens[row]! - drafts;
      const at = row * (plan.draftTokensMax + 1);
      let state = this.read(table, 0, end, rootState(sequence.request.cacheSalt));
      let token = nextToken(model, state, key);
      result.tokens[at] = token;
      let accepted = 0;
      while (accepted < drafts && plan.draftIds[row * plan.draftTokensMax + accepted] === token) {
        state = this.read(table, end + accepted, end + accepted + 1, state);
        accepted++;
        token = nextToken(model, state, key);
        result.tokens[at + accepted] = token;
      }
      result.acceptedDrafts[row] = accepted;
      this.sampled[plan.slots[row]!] = token;
    }
  }

  /** A failed step may leave anything where it would have written. */
  private scribble(plan: StepPlan, tables: readonly Int32Array[]): void {
    for (let row = 0; row < plan.rows; row++) {
      const context = plan.contextTokens[row]!;
      for (let i = 0; i < plan.newTokens[row]!; i++) this.device[this.wordAt(tables[row]!, context + i)] = POISON;
    }
  }
}
