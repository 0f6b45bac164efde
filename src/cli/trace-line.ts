import { emptyBlockKey, GREEDY, type TokenSource } from '../core/index.ts';
import type { WorkloadRequest } from '../simulation/workload.ts';

interface Segment {
  readonly stream: number;
  readonly offset: number;
  tokens: number;
}

/**
 * One line of Twinfer's trace format (replay/formats/twinfer-jsonl) that gives the same request again. Streams below 0
 * belong to one request: a reader numbers them anew. Throws RangeError for what the format cannot say.
 */
export function traceLine(request: WorkloadRequest): string {
  const { prompt, outputTokensMax, impliedOutputTokens, sampling } = request;
  if (sampling !== GREEDY && !(sampling.temperature === 0 && sampling.n === 1 && sampling.seed === null)) {
    throw new RangeError('a trace line: only greedy requests are generated');
  }
  if (request.cacheSalt !== 0) throw new RangeError('a trace line: no generated request has a salt');
  const { head, tail } = segmentsOf(prompt);
  const shared =
    tail.stream >= 0 ? { stream: tail.stream, ...(tail.offset > 0 ? { stream_offset: tail.offset } : {}) } : {};
  const ends = impliedOutputTokens !== Number.POSITIVE_INFINITY;
  return `${JSON.stringify({
    arrival_ns: request.arrivalNs,
    prompt_tokens: prompt.length,
    output_tokens: ends ? impliedOutputTokens : outputTokensMax,
    ...(ends ? { max_tokens: outputTokensMax } : {}),
    ...(head.length > 0 ? { prefix: head.map(prefixOf) } : {}),
    ...shared,
    ...(request.priority === 0 ? {} : { priority: request.priority }),
    ...(request.timeoutNs === Number.POSITIVE_INFINITY ? {} : { timeout_s: request.timeoutNs / 1e9 }),
  })}\n`;
}

function prefixOf(segment: Segment): object {
  if (segment.stream < 0) throw new RangeError('a trace line: shared content with a private stream');
  return { stream: segment.stream, tokens: segment.tokens, ...(segment.offset > 0 ? { offset: segment.offset } : {}) };
}

/**
 * Stretches of the prompt by identity. A block of one token is named by its (stream, offset), so the port says all that is
 * needed. The last stretch is the one that goes on in the output; where it begins at the prompt's end it holds no token.
 */
function segmentsOf(prompt: TokenSource): { head: Segment[]; tail: Segment } {
  if (!prompt.endless) throw new RangeError('a trace line: the prompt is tokens, not streams');
  const key = emptyBlockKey();
  const segments: Segment[] = [];
  for (let position = 0; position <= prompt.length; position++) {
    prompt.blockKey(position, 1, key);
    const last = segments.at(-1);
    if (last !== undefined && last.stream === key.lane0 && last.offset + last.tokens === key.lane1) last.tokens++;
    else segments.push({ stream: key.lane0, offset: key.lane1, tokens: 1 });
  }
  return { head: segments.slice(0, -1), tail: segments.at(-1)! };
}
