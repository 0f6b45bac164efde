import { GREEDY, labelNumber, type SamplingParameters } from '../../src/core/index.ts';
import { RowFault } from '../trace-error.ts';
import { TOKENS_MAX, type TraceRow } from '../trace-row.ts';
import { type JsonRow, jsonFault, lineFeed, parseJsonRow, tryJsonRow } from './json-line.ts';
import type { RowParser, TraceFormat } from './trace-format.ts';

/** Twinfer's own format, described in `replay/README.md`: one JSON object a line, unknown keys are errors. */
export const twinferJsonl: TraceFormat = {
  name: 'twinfer-jsonl',
  firstLine: '{"arrival_s": 0, "prompt_tokens": 512, "output_tokens": 128, ...}',
  detect: (firstLine) => {
    const row = tryJsonRow(firstLine);
    return row !== null && 'prompt_tokens' in row && ('arrival_s' in row || 'arrival_ns' in row);
  },
  parser: () => new TwinferParser(),
};

interface Field {
  readonly allowed: string;
  readonly accepts: (value: unknown) => boolean;
}

/** Every key of a row. `prefix` is checked where it is read, since its faults lie inside. */
const FIELDS: Readonly<Record<string, Field>> = {
  arrival_s: number(0, 9e6),
  arrival_ns: integer(0, Number.MAX_SAFE_INTEGER),
  prompt_tokens: integer(1, TOKENS_MAX),
  output_tokens: integer(1, TOKENS_MAX),
  max_tokens: integer(1, TOKENS_MAX),
  ignore_eos: { allowed: 'true or false', accepts: (value) => typeof value === 'boolean' },
  prefix: { allowed: 'a list of {"stream", "tokens", "offset"}', accepts: Array.isArray },
  stream: integer(0, 0x7fffffff),
  stream_offset: integer(0, 0x3fffffff),
  priority: integer(-0x80000000, 0x7fffffff),
  cache_salt: { allowed: 'a string', accepts: (value) => typeof value === 'string' },
  session: label(),
  slo_class: label(),
  timeout_s: number(1e-9, 9e6),
  n: integer(1, 128),
  temperature: number(0, 10),
  top_p: number(1e-9, 1),
  top_k: integer(0, 0x7fffffff),
  min_p: number(0, 1),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  repetition_penalty: number(1e-9, 10),
  seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  min_tokens: integer(0, TOKENS_MAX),
};

const SAMPLING_KEYS = [
  'n',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'seed',
  'min_tokens',
];

const GREEDY_TO_EOS: SamplingParameters = Object.freeze({ ...GREEDY, ignoreEos: false });

function number(min: number, max: number): Field {
  return {
    allowed: `a number from ${min} to ${max}`,
    accepts: (value) => typeof value === 'number' && value >= min && value <= max,
  };
}

function integer(min: number, max: number): Field {
  return {
    allowed: `an integer from ${min} to ${max}`,
    accepts: (value) => typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max,
  };
}

function label(): Field {
  const accepts = (value: unknown) => typeof value === 'string' && value.length >= 1 && value.length <= 256;
  return { allowed: 'a string of 1 to 256 characters', accepts };
}

function labelOf(json: JsonRow, field: string): number {
  return field in json ? labelNumber(json[field] as string) : 0;
}

class TwinferParser implements RowParser {
  readonly headerLines = 0;
  readonly spreadNs = 0;
  /** Salts of the file, numbered from 1 in order of appearance: tenants, so few. */
  private readonly salts = new Map<string, number>();

  parse(bytes: Buffer, from: number, _to: number, row: TraceRow): number {
    const end = lineFeed(bytes, from);
    const line = bytes.toString('utf8', from, end);
    const json = parseJsonRow(line);
    checkFields(line, json);

    const { arrival_s: arrivalS, arrival_ns: arrivalNs } = json as Record<string, number | undefined>;
    row.timeNs = arrivalNs ?? Math.round(arrivalS! * 1e9);
    row.promptTokens = json['prompt_tokens'] as number;
    row.head = 'prefix' in json ? headOf(line, json['prefix'] as unknown[], row.promptTokens) : null;
    if ('stream' in json) row.stream = json['stream'] as number;
    row.streamOffset = (json['stream_offset'] as number | undefined) ?? 0;
    const ignoreEos = ignoresEos(line, json);
    const outputTokens = json['output_tokens'] as number;
    row.outputTokensMax = (json['max_tokens'] as number | undefined) ?? outputTokens;
    row.fields = {
      sampling: samplingOf(json as Record<string, number>, ignoreEos),
      priority: (json['priority'] as number | undefined) ?? 0,
      session: labelOf(json, 'session'),
      sloClass: labelOf(json, 'slo_class'),
      cacheSalt: this.saltOf((json['cache_salt'] as string | undefined) ?? ''),
      timeoutNs: 'timeout_s' in json ? Math.round((json['timeout_s'] as number) * 1e9) : Number.POSITIVE_INFINITY,
      impliedOutputTokens: ignoreEos ? Number.POSITIVE_INFINITY : outputTokens,
    };
    return end + 1;
  }

  private saltOf(salt: string): number {
    if (salt === '') return 0;
    let number = this.salts.get(salt);
    if (number === undefined) {
      number = this.salts.size + 1;
      this.salts.set(salt, number);
    }
    return number;
  }
}

function checkFields(line: string, json: JsonRow): void {
  for (const name in json) {
    const field = FIELDS[name];
    if (field === undefined) {
      throw new RowFault(
        name,
        `is unknown; allowed: ${Object.keys(FIELDS).join(', ')}`,
        line.lastIndexOf(JSON.stringify(name)),
      );
    }
    if (!field.accepts(json[name])) throw jsonFault(line, name, json[name], field.allowed);
  }
  for (const name of ['prompt_tokens', 'output_tokens']) {
    if (!(name in json)) throw jsonFault(line, name, undefined, FIELDS[name]!.allowed);
  }
  if ('arrival_s' in json === 'arrival_ns' in json) {
    throw jsonFault(line, 'arrival_s', json['arrival_s'], 'one of arrival_s and arrival_ns');
  }
  if ('stream_offset' in json && !('stream' in json)) {
    throw jsonFault(line, 'stream_offset', json['stream_offset'], 'only together with stream');
  }
}

/**
 * `ignore_eos` true: the output is max_tokens long (default output_tokens). False: the model ends by itself after
 * output_tokens, if max_tokens allows that many. Left out: true without max_tokens, false with it.
 */
function ignoresEos(line: string, json: JsonRow): boolean {
  const outputTokens = json['output_tokens'] as number;
  const outputTokensMax = json['max_tokens'] as number | undefined;
  const ignoreEos = (json['ignore_eos'] as boolean | undefined) ?? outputTokensMax === undefined;
  if (ignoreEos && outputTokensMax !== undefined && outputTokensMax !== outputTokens) {
    throw jsonFault(line, 'max_tokens', outputTokensMax, `output_tokens (${outputTokens}) where ignore_eos is true`);
  }
  return ignoreEos;
}

/** Rows without sampling keys share two objects: traces have millions of rows. */
function samplingOf(json: Readonly<Record<string, number | undefined>>, ignoreEos: boolean): SamplingParameters {
  if (!SAMPLING_KEYS.some((key) => key in json)) return ignoreEos ? GREEDY : GREEDY_TO_EOS;
  return {
    ...GREEDY,
    temperature: json['temperature'] ?? 0,
    topP: json['top_p'] ?? 1,
    topK: json['top_k'] ?? 0,
    minP: json['min_p'] ?? 0,
    presencePenalty: json['presence_penalty'] ?? 0,
    frequencyPenalty: json['frequency_penalty'] ?? 0,
    repetitionPenalty: json['repetition_penalty'] ?? 1,
    seed: json['seed'] ?? null,
    outputTokensMin: json['min_tokens'] ?? 0,
    ignoreEos,
    n: json['n'] ?? 1,
  };
}

/** Triples (stream, offset, tokens) of `prefix`; together they may not be longer than the prompt. */
function headOf(line: string, prefix: readonly unknown[], promptTokens: number): Int32Array | null {
  const head = new Int32Array(3 * prefix.length);
  let sum = 0;
  prefix.forEach((segment, i) => {
    const { stream, tokens, offset = 0, ...rest } = (segment ?? {}) as JsonRow;
    const good =
      FIELDS['stream']!.accepts(stream) &&
      FIELDS['prompt_tokens']!.accepts(tokens) &&
      FIELDS['stream_offset']!.accepts(offset) &&
      Object.keys(rest).length === 0;
    if (!good) {
      throw jsonFault(
        line,
        'prefix',
        segment,
        '{"stream": 0 or more, "tokens": 1 or more, "offset": 0 or more (optional)}',
      );
    }
    head.set([stream as number, offset as number, tokens as number], 3 * i);
    sum += tokens as number;
  });
  if (sum > promptTokens) {
    throw jsonFault(line, 'prefix', prefix, `at most prompt_tokens (${promptTokens}) tokens in all, not ${sum}`);
  }
  return prefix.length === 0 ? null : head;
}
