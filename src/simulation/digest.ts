import { createHash, type Hash } from 'node:crypto';
import { FINISH_REASONS, NONE, type Sequence, type StepPlan, type StepResult } from '../core/index.ts';

/** What a digest covers: `records` = requests and evictions; `steps` = these and every step. */
export type DigestMode = 'records' | 'steps';

/**
 * SHA-256 over what a run did. Streams are hashed apart, so that the order in which they interleave (which differs between
 * single steps and runs of steps) does not matter, and combined at the end:
 *
 * - requests: one record per finished sequence, in finishing order: 7 float64 and 12 int32 (see `request`), then its block
 *   ids, padded with zeros to 8 bytes;
 * - evictions: the block ids in order;
 * - steps (mode `steps` only): per step, a run counted as its single steps, int32: rows, per row slot, tokens and accepted
 *   drafts, token ids where the backend exchanges them, copies and swaps, then the blocks appended by that step as pairs
 *   (slot, block).
 *
 * Little-endian; block ids are uint16 in a pool of up to 65,536 blocks, else int32 (half of what is hashed are block ids).
 * digest = SHA-256("twinfer digest 1 <mode>\n", then the streams' hashes). Only integers go in: no rounding can differ.
 */
export class RunDigest {
  readonly mode: DigestMode;
  private readonly requests: HashStream;
  private readonly evictions: HashStream;
  private readonly steps: StepsDigest | null;
  private digest: string | null = null;

  constructor(mode: DigestMode, blocksTotal: number) {
    this.mode = mode;
    this.requests = new HashStream(blocksTotal);
    this.evictions = new HashStream(blocksTotal);
    this.steps = mode === 'steps' ? new StepsDigest() : null;
  }

  /** Adds a sequence that has ended and still holds its blocks: row `sequence.slot` of `tables`, `stride` entries a row. */
  request(sequence: Sequence, tables: Int32Array, stride: number): void {
    const blocks = sequence.slot === NONE ? 0 : sequence.blocks;
    const stream = this.requests;
    stream.reserve(HEADER_BYTES + 4 * blocks + 8);
    writeHeader(sequence, blocks, stream);
    const ids = stream.ids;
    const row = sequence.slot * stride;
    let at = (stream.used + HEADER_BYTES) >> stream.idShift;
    for (let i = 0; i < blocks; i++) ids[at++] = tables[row + i]!;
    while (((at << stream.idShift) & 7) !== 0) ids[at++] = 0;
    stream.used = at << stream.idShift;
  }

  /** Adds blocks[0 .. count), which lost their cached content in this order. */
  evicted(blocks: Int32Array, count: number): void {
    const stream = this.evictions;
    stream.reserve(4 * count);
    const ids = stream.ids;
    let at = stream.used >> stream.idShift;
    for (let i = 0; i < count; i++) ids[at++] = blocks[i]!;
    stream.used = at << stream.idShift;
  }

  /** Adds a submission that has ended. Does nothing in mode `records`. */
  step(plan: StepPlan, result: StepResult): void {
    if (this.steps !== null) this.steps.add(plan, result);
  }

  /** Ends the digest; hexadecimal. Further calls return the same. */
  finish(): string {
    if (this.digest !== null) return this.digest;
    const hash = createHash('sha256').update(`twinfer digest 1 ${this.mode}\n`);
    hash.update(this.requests.finish()).update(this.evictions.finish());
    if (this.steps !== null) hash.update(this.steps.finish());
    this.digest = hash.digest('hex');
    return this.digest;
  }
}

const HEADER_FLOATS = 7;
const HEADER_BYTES = 8 * HEADER_FLOATS + 4 * 12;

/** Writes what is fixed in a request's record, without moving `stream.used`. */
function writeHeader(sequence: Sequence, blocks: number, stream: HashStream): void {
  const floats = stream.floats;
  let at = stream.used >> 3;
  floats[at++] = sequence.request.id;
  floats[at++] = sequence.request.arrivalNs;
  floats[at++] = sequence.admittedNs;
  floats[at++] = sequence.firstTokenNs;
  floats[at++] = sequence.lastTokenNs;
  floats[at++] = sequence.finishedNs;
  floats[at++] = sequence.waitedNs;
  const ints = stream.ints;
  at *= 2;
  ints[at++] = sequence.index;
  ints[at++] = sequence.promptTokens;
  ints[at++] = sequence.outputTokens;
  ints[at++] = sequence.cachedPromptTokens;
  ints[at++] = sequence.scheduledPromptTokens;
  ints[at++] = sequence.recomputedPromptTokens;
  ints[at++] = sequence.recomputedOutputTokens;
  ints[at++] = sequence.proposedDraftTokens;
  ints[at++] = sequence.acceptedDraftTokens;
  ints[at++] = sequence.preemptions;
  ints[at++] = FINISH_CODES.indexOf(sequence.finishReason);
  ints[at++] = blocks;
}

/** Position = code in the digest. */
const FINISH_CODES: readonly Sequence['finishReason'][] = [null, ...FINISH_REASONS];

/** The steps of a run, written as if each had been submitted alone. */
class StepsDigest {
  private readonly stream = new HashStream(Number.POSITIVE_INFINITY);

  add(plan: StepPlan, result: StepResult): void {
    const failed = result.status !== 'ok';
    const steps = failed ? 1 : result.stepsRun;
    let growth = 0;
    for (let step = 0; step < steps; step++) {
      this.rows(plan, result, failed, step);
      growth = this.growth(plan, growth, step === steps - 1 ? Number.POSITIVE_INFINITY : step);
    }
  }

  private rows(plan: StepPlan, result: StepResult, failed: boolean, step: number): void {
    const stream = this.stream;
    const ids = plan.tokenIds.length > 0;
    const idStride = plan.draftTokensMax + 1;
    stream.reserve(4 * (2 + plan.rows * (4 + (ids ? idStride : 0))));
    const ints = stream.ints;
    let at = stream.used >> 2;
    ints[at++] = plan.rows;
    ints[at++] = failed ? 1 : 0;
    for (let row = 0; row < plan.rows; row++) {
      const accepted = result.acceptedDrafts[row]!;
      ints[at++] = plan.slots[row]!;
      ints[at++] = step === 0 ? plan.newTokens[row]! : 1;
      ints[at++] = accepted;
      const delivered = ids && !failed && plan.samples[row] === 1 ? accepted + 1 : 0;
      ints[at++] = delivered;
      for (let i = 0; i < delivered; i++) ints[at++] = result.tokens[row * idStride + i]!;
    }
    stream.used = 4 * at;
    this.pairs(plan.copies, step === 0 ? plan.copyCount : 0);
    this.pairs(plan.swapOut, step === 0 ? plan.swapOutCount : 0);
    this.pairs(plan.swapIn, step === 0 ? plan.swapInCount : 0);
  }

  private pairs(pairs: Int32Array, count: number): void {
    this.stream.reserve(4 + 8 * count);
    const ints = this.stream.ints;
    let at = this.stream.used >> 2;
    ints[at++] = count;
    for (let i = 0; i < 2 * count; i++) ints[at++] = pairs[i]!;
    this.stream.used = 4 * at;
  }

  /** Writes the new blocks from number `from` on that belong to steps up to `step`; returns the number of the next. */
  private growth(plan: StepPlan, from: number, step: number): number {
    let to = from;
    while (to < plan.newBlockCount && plan.newBlockSteps[to]! <= step) to++;
    this.pairs(from === 0 ? plan.newBlocks : plan.newBlocks.subarray(2 * from), to - from);
    return to;
  }

  finish(): Uint8Array {
    return this.stream.finish();
  }
}

const CHUNK_BYTES = 1 << 16;

/** Bytes on their way into one SHA-256: written through typed arrays, hashed a chunk at a time. */
class HashStream {
  /** Views of the same bytes. Read them again after every `reserve`, which may have replaced them. */
  private bytes: Uint8Array;
  ints: Int32Array;
  floats: Float64Array;
  /** The view for block ids. */
  ids: Uint16Array | Int32Array;
  /** Bytes written and not yet hashed. */
  used = 0;
  /** log2 of the bytes of a block id. */
  readonly idShift: 1 | 2;
  private readonly hash: Hash = createHash('sha256');

  constructor(blocksTotal: number) {
    assertLittleEndian();
    this.idShift = blocksTotal <= 65_536 ? 1 : 2;
    const buffer = new ArrayBuffer(CHUNK_BYTES);
    this.bytes = new Uint8Array(buffer);
    this.ints = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
    this.ids = this.idShift === 1 ? new Uint16Array(buffer) : this.ints;
  }

  /** Makes room for `bytes` more. Where chunks end does not change the hash. */
  reserve(bytes: number): void {
    if (this.used + bytes <= this.bytes.length) return;
    this.flush();
    if (bytes <= this.bytes.length) return;
    const buffer = new ArrayBuffer(Math.ceil(bytes / CHUNK_BYTES) * CHUNK_BYTES);
    this.bytes = new Uint8Array(buffer);
    this.ints = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
    this.ids = this.idShift === 1 ? new Uint16Array(buffer) : this.ints;
  }

  finish(): Uint8Array {
    this.flush();
    return this.hash.digest();
  }

  private flush(): void {
    this.hash.update(this.bytes.subarray(0, this.used));
    this.used = 0;
  }
}

/** Typed arrays write in the machine's byte order; the digest is defined in little-endian, as all platforms of Node are but s390x. */
function assertLittleEndian(): void {
  if (new Uint8Array(new Uint32Array([1]).buffer)[0] !== 1) {
    throw new Error('byte order: big-endian is not supported; the digest is defined over little-endian bytes');
  }
}
