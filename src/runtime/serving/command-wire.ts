import { GREEDY, REQUEST_DEFAULTS, type SamplingParameters } from '../../core/index.ts';
import type { EngineRequest } from '../../gateway/engine-link.ts';

/**
 * Commands from the gateway to the engine thread, as one array of numbers per message:
 *
 *     SUBMIT id outputTokensMax | numbers of the request | numbers of its sampling | stop ids | logit bias | prompt ids
 *     ABORT  id
 *     FINISH id index tokensKept
 *
 * Numbers are written by the keys of the core's defaults, lists with their length before them.
 */
const SUBMIT = 1;
const ABORT = 2;
const FINISH = 3;

type Sampling = typeof GREEDY;
type Lists = 'stopTokenIds' | 'logitBias';

const REQUEST_NUMBERS = keysOf(REQUEST_DEFAULTS, ['sampling']);
const SAMPLING_NUMBERS = keysOf<Sampling, Lists>(GREEDY, ['stopTokenIds', 'logitBias']);
/** Numbers of a submission beside its lists: code, id, output tokens, three lengths. */
const FIXED = 6 + REQUEST_NUMBERS.length + SAMPLING_NUMBERS.length;

/** The keys of an object but for some, in order. */
function keysOf<T extends object, Left extends keyof T>(
  of: T,
  left: readonly Left[],
): readonly Exclude<keyof T, Left>[] {
  return (Object.keys(of) as (keyof T)[]).filter((key): key is Exclude<keyof T, Left> => !left.includes(key as Left));
}

export class CommandWriter {
  private numbers = new Float64Array(4096);
  private length = 0;

  get empty(): boolean {
    return this.length === 0;
  }

  submit(request: EngineRequest): void {
    const { sampling, prompt } = request;
    const bias = sampling.logitBias;
    this.reserve(FIXED + sampling.stopTokenIds.length + 2 * (bias?.size ?? 0) + prompt.length);
    this.put(SUBMIT, request.id, request.outputTokensMax);
    for (const key of REQUEST_NUMBERS) this.put(request[key]);
    for (const key of SAMPLING_NUMBERS) this.put(Number(sampling[key] ?? Number.NaN));
    this.put(sampling.stopTokenIds.length, ...sampling.stopTokenIds);
    this.put(bias?.size ?? 0);
    if (bias !== null) for (const [id, value] of bias) this.put(id, value);
    this.put(prompt.length);
    this.numbers.set(prompt, this.length);
    this.length += prompt.length;
  }

  abort(id: number): void {
    this.reserve(2);
    this.put(ABORT, id);
  }

  finish(id: number, index: number, tokensKept: number): void {
    this.reserve(4);
    this.put(FINISH, id, index, tokensKept);
  }

  /** The commands so far as an array of their own; the writer is empty then. */
  take(): Float64Array {
    const taken = this.numbers.slice(0, this.length);
    this.length = 0;
    return taken;
  }

  private put(...values: number[]): void {
    for (const value of values) this.numbers[this.length++] = value;
  }

  private reserve(count: number): void {
    if (this.length + count <= this.numbers.length) return;
    const larger = new Float64Array(2 * (this.length + count));
    larger.set(this.numbers);
    this.numbers = larger;
  }
}

export interface CommandHandler {
  submit(request: EngineRequest): void;
  abort(id: number): void;
  finish(id: number, index: number, tokensKept: number): void;
}

/** Hands the commands of one message to `handler`, in their order. */
export function readCommands(numbers: Float64Array, handler: CommandHandler): void {
  let at = 0;
  while (at < numbers.length) {
    const code = numbers[at]!;
    if (code === ABORT) {
      handler.abort(numbers[at + 1]!);
      at += 2;
    } else if (code === FINISH) {
      handler.finish(numbers[at + 1]!, numbers[at + 2]!, numbers[at + 3]!);
      at += 4;
    } else {
      at = readSubmit(numbers, at + 1, handler);
    }
  }
}

function readSubmit(numbers: Float64Array, from: number, handler: CommandHandler): number {
  let at = from;
  const next = () => numbers[at++]!;
  const list = <T>(read: () => T) => Array.from({ length: next() }, read);
  const id = next();
  const outputTokensMax = next();
  const fields: Mutable<typeof REQUEST_DEFAULTS> = { ...REQUEST_DEFAULTS };
  for (const key of REQUEST_NUMBERS) fields[key] = next();
  const sampling: Mutable<SamplingParameters> = { ...GREEDY };
  for (const key of SAMPLING_NUMBERS) (sampling as Record<string, unknown>)[key] = decoded(GREEDY[key], next());
  sampling.stopTokenIds = list(next);
  const bias = list(() => [next(), next()] as const);
  sampling.logitBias = bias.length === 0 ? null : new Map(bias);
  const length = next();
  const prompt = new Int32Array(numbers.subarray(at, at + length));
  handler.submit({ ...fields, id, prompt, outputTokensMax, sampling });
  return at + length;
}

/** A number as the kind of value that its field has; NaN is null, since no field can be NaN. */
function decoded(kind: number | boolean | null, number: number): number | boolean | null {
  if (typeof kind === 'boolean') return number === 1;
  return Number.isNaN(number) ? null : number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
