import { TOKENS_MAX, type TraceRow } from '../trace-row.ts';
import { type JsonRow, jsonFault, lineFeed, parseJsonRow, tryJsonRow } from './json-line.ts';
import type { RowParser, TraceFormat } from './trace-format.ts';

/** Tokens named by one hash id (github.com/kvcache-ai/Mooncake, README of FAST25-release/traces: "block size is 512"). */
const HASH_BLOCK_TOKENS = 512;
/** The conversation trace has a stamp every 3,000 ms (+-3) and some ten rows on each. */
const STAMP_STEP_NS = 3e9;

/**
 * Mooncake traces (FAST'25; Qin et al., "Mooncake: Trading More Storage for Less Computation"): one JSON object a line with
 * `timestamp` (ms), `input_length`, `output_length` and `hash_ids`, one id per 512 prompt tokens, the last one for what
 * is left. An id names a block *and all before it*, so equal ids are equal content: each becomes a stream of its own, shared
 * by every prompt that names it. The output and nothing else runs on a stream private to the row. Further keys are ignored.
 */
export const mooncakeJsonl: TraceFormat = {
  name: 'mooncake-jsonl',
  firstLine: '{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1, ...]}',
  detect: (firstLine) => {
    const row = tryJsonRow(firstLine);
    return row !== null && 'timestamp' in row && 'input_length' in row && 'hash_ids' in row;
  },
  parser: () => new MooncakeParser(),
};

const TOKENS_ALLOWED = `an integer from 1 to ${TOKENS_MAX}`;

class MooncakeParser implements RowParser {
  readonly headerLines = 0;
  readonly spreadNs = STAMP_STEP_NS;

  parse(bytes: Buffer, from: number, _to: number, row: TraceRow): number {
    const end = lineFeed(bytes, from);
    const line = bytes.toString('utf8', from, end);
    const json = parseJsonRow(line);
    const timestamp = json['timestamp'];
    if (!(typeof timestamp === 'number' && timestamp >= 0 && timestamp <= 8e9)) {
      throw jsonFault(line, 'timestamp', timestamp, 'milliseconds from 0 to 8e9');
    }
    row.timeNs = Math.round(timestamp * 1e6);
    row.promptTokens = tokensOf(line, json, 'input_length');
    row.outputTokensMax = tokensOf(line, json, 'output_length');
    row.head = headOf(line, json, row.promptTokens);
    return end + 1;
  }
}

function tokensOf(line: string, json: JsonRow, name: string): number {
  const tokens = json[name];
  if (typeof tokens === 'number' && Number.isInteger(tokens) && tokens >= 1 && tokens <= TOKENS_MAX) return tokens;
  throw jsonFault(line, name, tokens, TOKENS_ALLOWED);
}

/** Segments of the prompt: | id0: 512 | id1: 512 | ... | last id: rest | */
function headOf(line: string, json: JsonRow, promptTokens: number): Int32Array {
  const ids = json['hash_ids'];
  const blocks = Math.ceil(promptTokens / HASH_BLOCK_TOKENS);
  if (!Array.isArray(ids) || ids.length !== blocks) {
    throw jsonFault(line, 'hash_ids', ids, `${blocks} ids, one per ${HASH_BLOCK_TOKENS} tokens of input_length`);
  }
  const head = new Int32Array(3 * blocks);
  for (let i = 0; i < blocks; i++) {
    const id: unknown = ids[i];
    if (typeof id !== 'number' || id !== (id | 0) || id < 0) {
      throw jsonFault(line, 'hash_ids', id, 'integers from 0 to 2147483647');
    }
    head[3 * i] = id;
    head[3 * i + 2] = HASH_BLOCK_TOKENS;
  }
  head[3 * blocks - 1] = promptTokens - (blocks - 1) * HASH_BLOCK_TOKENS;
  return head;
}
