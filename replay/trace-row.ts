import type { RequestSpec } from '../src/core/request.ts';

/** Row parsers give numbers of tokens below this: a context of 16 M tokens is beyond any model. */
export const TOKENS_MAX = 1 << 24;

const NO_FIELDS = Object.freeze({});

/**
 * One row of a trace, before options are applied. The reader owns it and hands it to the parser to fill; the defaults are
 * those of a benchmark client: greedy, output length forced by `ignore_eos`, no priority, no salt, no timeout.
 */
export class TraceRow {
  /** Integer nanoseconds since an origin that the parser chose, the same for the whole file. */
  timeNs = Number.NaN;
  promptTokens = 0;
  outputTokensMax = 0;
  /** Shared content at the start of the prompt: triples (stream >= 0, offset, count), or null. */
  head: Int32Array | null = null;
  /** Stream of the rest of the prompt and of the output; negative = private to this row (set by the reader). */
  stream = -1;
  /** Where in `stream` the rest begins. */
  streamOffset = 0;
  /** What else the row says of the request. */
  fields: Omit<RequestSpec, 'prompt' | 'outputTokensMax'> = NO_FIELDS;

  /** Cuts the prompt. The output must follow it, not run on into content that other prompts share. */
  cutPrompt(tokens: number): void {
    this.promptTokens = tokens;
    if (this.head !== null) this.head = cutHead(this.head, tokens);
  }
}

/** The first `tokens` tokens of a head. */
function cutHead(head: Int32Array, tokens: number): Int32Array {
  let kept = 0;
  let left = tokens;
  while (kept < head.length && left > 0) {
    left -= head[kept + 2]!;
    kept += 3;
  }
  const cut = head.slice(0, kept);
  if (left < 0) cut[kept - 1]! += left;
  return cut;
}
