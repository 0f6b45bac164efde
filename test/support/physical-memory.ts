import { type EngineConfig, NONE, type Sequence, type StepPlan, type StepResult } from '../../src/core/index.ts';

/** One row of a submission, as it was when it was submitted: the tables may change while it is in flight. */
interface Row {
  readonly sequence: Sequence;
  readonly blocks: Int32Array;
  readonly context: number;
  readonly tokens: number;
  readonly drafts: number;
}

interface Submission {
  readonly plan: StepPlan;
  readonly rows: readonly Row[];
  readonly swapOut: Int32Array;
  readonly swapIn: Int32Array;
  readonly copies: Int32Array;
}

/** What nobody may read: a failed step's leavings, a rejected draft. */
const GARBAGE = -7;
const VOCABULARY = 11;

/**
 * The KV memory of a device whose "KV" of a token is the token itself. A step writes its rows' tokens at the physical places
 * that the block tables name, then reads each row's whole context back through its table and compares it with the text
 * that a serial run of the request would have. Any block that is shared, reused, copied or swapped wrongly reads wrong.
 */
export class PhysicalMemory {
  private readonly blockSize: number;
  private readonly fencedFrees: boolean;
  private readonly device: Int32Array;
  private readonly host: Int32Array;
  private readonly out: Submission[] = [];
  private readonly texts = new Map<Sequence, number[]>();

  constructor(config: EngineConfig) {
    this.blockSize = config.blockSize;
    this.fencedFrees = config.fencedFrees;
    this.device = new Int32Array(config.blocksTotal * config.blockSize).fill(GARBAGE);
    this.host = new Int32Array(config.hostBlocksTotal * config.blockSize).fill(GARBAGE);
  }

  /** Keeps what the submission reads; a new block must not belong to a row that is still in flight. */
  submitted(plan: StepPlan): void {
    if (this.fencedFrees) this.checkFences(plan);
    const rows: Row[] = [];
    for (let row = 0; row < plan.rows; row++) {
      const context = plan.contextTokens[row]!;
      const tokens = plan.newTokens[row]!;
      const from = plan.slots[row]! * plan.tableStride;
      const blocks = plan.tables.slice(from, from + Math.ceil((context + tokens) / this.blockSize));
      rows.push({ sequence: plan.sequences[row]!, blocks, context, tokens, drafts: plan.draftTokens[row]! });
    }
    this.out.push({
      plan,
      rows,
      swapOut: plan.swapOut.slice(0, 2 * plan.swapOutCount),
      swapIn: plan.swapIn.slice(0, 2 * plan.swapInCount),
      copies: plan.copies.slice(0, 2 * plan.copyCount),
    });
  }

  /** Computes the oldest submission: moves blocks, writes, checks what the rows read, fills in the sampled tokens. */
  computed(plan: StepPlan, result: StepResult): void {
    const { rows, swapOut, swapIn, copies } = this.oldest(plan);
    this.move(this.device, swapOut, this.host);
    this.move(this.host, swapIn, this.device);
    this.move(this.device, copies, this.device);
    rows.forEach((row, index) => {
      const text = this.text(row.sequence, row.context + row.tokens);
      const end = row.context + row.tokens - row.drafts + result.acceptedDrafts[index]!;
      for (let i = row.context; i < row.context + row.tokens; i++)
        this.device[this.place(row, i)] = i < end ? text[i]! : GARBAGE;
    });
    rows.forEach((row, index) => {
      this.read(row);
      const first = row.context + row.tokens - row.drafts;
      const text = this.text(row.sequence, first + row.drafts + 1);
      const at = index * (plan.draftTokensMax + 1);
      for (let i = 0; i <= result.acceptedDrafts[index]!; i++) result.tokens[at + i] = text[first + i]!;
    });
  }

  /** The oldest submission failed: whatever it was to write is garbage. */
  failed(plan: StepPlan): void {
    const { rows, swapOut, swapIn, copies } = this.oldest(plan);
    const spoil = (memory: Int32Array, pairs: Int32Array) => {
      for (let i = 1; i < pairs.length; i += 2)
        memory.fill(GARBAGE, pairs[i]! * this.blockSize, (pairs[i]! + 1) * this.blockSize);
    };
    spoil(this.host, swapOut);
    spoil(this.device, swapIn);
    spoil(this.device, copies);
    for (const row of rows)
      for (let i = row.context; i < row.context + row.tokens; i++) this.device[this.place(row, i)] = GARBAGE;
  }

  /** The first `count` tokens of the sequence's text, prompt and output, as a serial run would make it. */
  text(sequence: Sequence, count: number): readonly number[] {
    let text = this.texts.get(sequence);
    if (text === undefined) {
      const prompt = new Int32Array(sequence.promptTokens);
      sequence.request.prompt.copy(0, prompt.length, prompt, 0);
      text = [...prompt];
      this.texts.set(sequence, text);
    }
    while (text.length < count) text.push((text.at(-1)! * 5 + text.length * 3 + sequence.index + 1) % VOCABULARY);
    return text;
  }

  /** The output of `count` tokens of a serial run. */
  output(sequence: Sequence, count: number): readonly number[] {
    return this.text(sequence, sequence.promptTokens + count).slice(
      sequence.promptTokens,
      sequence.promptTokens + count,
    );
  }

  private oldest(plan: StepPlan): Submission {
    const submission = this.out.shift();
    if (submission === undefined || submission.plan !== plan) throw new Error('submissions end in order');
    return submission;
  }

  private read(row: Row): void {
    const text = this.text(row.sequence, row.context + row.tokens);
    for (let i = 0; i < row.context + row.tokens - row.drafts; i++) {
      const found = this.device[this.place(row, i)]!;
      if (found === text[i]) continue;
      const { request, index } = row.sequence;
      const block = row.blocks[Math.floor(i / this.blockSize)];
      throw new Error(
        `request ${request.id}.${index} reads ${found} at position ${i} (block ${block}), not ${text[i]}`,
      );
    }
  }

  private checkFences(plan: StepPlan): void {
    const busy = new Set<number>();
    for (const { rows } of this.out) for (const row of rows) for (const block of row.blocks) busy.add(block);
    for (let i = 0; i < plan.newBlockCount; i++) {
      const block = plan.newBlocks[2 * i + 1]!;
      if (busy.has(block)) throw new Error(`step ${plan.stepId} takes block ${block}, which a step in flight uses`);
    }
  }

  private place(row: Row, position: number): number {
    const block = row.blocks[Math.floor(position / this.blockSize)] ?? NONE;
    if (block < 0) throw new Error(`request ${row.sequence.request.id} has no block for position ${position}`);
    return block * this.blockSize + (position % this.blockSize);
  }

  private move(from: Int32Array, pairs: Int32Array, into: Int32Array): void {
    const size = this.blockSize;
    for (let i = 0; i < pairs.length; i += 2) {
      const source = pairs[i]! * size;
      into.set(from.slice(source, source + size), pairs[i + 1]! * size);
    }
  }
}
