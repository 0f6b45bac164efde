import { RowFault, valueIs } from '../trace-error.ts';
import type { TraceRow } from '../trace-row.ts';
import { TOKENS_MAX } from '../trace-row.ts';
import type { RowParser, TraceFormat } from './trace-format.ts';

const HEADER = 'TIMESTAMP,ContextTokens,GeneratedTokens';

/**
 * Azure LLM inference traces of 2023 and 2024 (github.com/Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md and
 * ...2024.md). Rows in both: wall-clock time, prompt tokens, output tokens. 2023 writes `2023-11-16 18:15:46.6805900`, 2024
 * writes `2024-05-10 00:00:00.009930+00:00` and leaves the fraction out when it is zero; either is accepted in any row.
 * Prompts share nothing: the traces carry no identity of users or text.
 */
export const azureCsv: TraceFormat = {
  name: 'azure-csv',
  firstLine: HEADER,
  detect: (firstLine) => firstLine.trim() === HEADER,
  parser: () => new AzureParser(),
};

const TIMESTAMP_ALLOWED = 'YYYY-MM-DD HH:MM:SS[.fraction][Z or +HH:MM]';
const TOKENS_ALLOWED = `an integer from 1 to ${TOKENS_MAX}`;
/** Nanoseconds of one unit of the n-th digit after the point: FRACTION_NS[n] = 10^(9 - n). */
const FRACTION_NS = [1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1];
const SECOND_NS = 1e9;

/** `YYYY-MM-DD HH:MM:SS,1,1` and a line feed. */
const ROW_BYTES_MIN = 24;

const CR = 13;
const LF = 10;
const COMMA = 44;
const POINT = 46;
const COLON = 58;

class AzureParser implements RowParser {
  readonly headerLines = 1;
  readonly spreadNs = 0;
  private bytes: Buffer = Buffer.alloc(0);
  private words: DataView = new DataView(new ArrayBuffer(0));
  /**
   * The last row's `YYYY-MM-DD HH:MM` as four words, and its second since the first row's midnight: most rows lie in the minute
   * of the one before. This halves what is parsed while the code is still cold, and an hour of trace is over before it is hot.
   */
  private word0 = 0;
  private word1 = 0;
  private word2 = 0;
  private word3 = 0;
  private minuteS = 0;
  private originDay = -1;

  parse(bytes: Buffer, from: number, to: number, row: TraceRow): number {
    if (to - from < ROW_BYTES_MIN) throw timestampFault(bytes, from);
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    const words = this.words;
    if (
      words.getInt32(from + 8) !== this.word2 ||
      words.getInt32(from + 12) !== this.word3 ||
      words.getInt32(from) !== this.word0 ||
      words.getInt32(from + 4) !== this.word1
    ) {
      this.enterMinute(bytes, from);
    }
    const tens = bytes[from + 17]! - 48;
    const ones = bytes[from + 18]! - 48;
    if (!(tens >= 0 && tens < 6 && ones >= 0 && ones <= 9 && bytes[from + 16] === COLON))
      throw timestampFault(bytes, from);
    let seconds = this.minuteS + 10 * tens + ones;

    let at = from + 19;
    let fraction = 0;
    if (bytes[at] === POINT) {
      const first = ++at;
      let digit = bytes[at]! - 48;
      while (digit >= 0 && digit <= 9) {
        if (at - first < 9) fraction = fraction * 10 + digit; // below a nanosecond: dropped
        digit = bytes[++at]! - 48;
      }
      if (at === first) throw timestampFault(bytes, from);
      if (at - first < 9) fraction *= FRACTION_NS[at - first]!;
    }
    if (bytes[at] !== COMMA) {
      const zone = zoneOffset(bytes, at);
      if (zone === null) throw timestampFault(bytes, from);
      seconds -= zone.seconds;
      at = zone.end;
    }
    row.timeNs = seconds * SECOND_NS + fraction;

    let start = ++at;
    let tokens = 0;
    for (let digit = bytes[at]! - 48; digit >= 0 && digit <= 9; digit = bytes[++at]! - 48) tokens = tokens * 10 + digit;
    if (bytes[at] !== COMMA || tokens < 1 || tokens > TOKENS_MAX) {
      throw fieldFault('ContextTokens', bytes, from, start, TOKENS_ALLOWED);
    }
    row.promptTokens = tokens;

    start = ++at;
    tokens = 0;
    for (let digit = bytes[at]! - 48; digit >= 0 && digit <= 9; digit = bytes[++at]! - 48) tokens = tokens * 10 + digit;
    if (bytes[at] === CR) at++;
    if (bytes[at] !== LF || tokens < 1 || tokens > TOKENS_MAX) {
      throw fieldFault('GeneratedTokens', bytes, from, start, TOKENS_ALLOWED);
    }
    row.outputTokensMax = tokens;
    return at + 1;
  }

  /** Checks and remembers the first 16 characters. */
  private enterMinute(bytes: Buffer, from: number): void {
    const year = digits(bytes, from, 4);
    const month = digits(bytes, from + 5, 2);
    const day = digits(bytes, from + 8, 2);
    const hour = digits(bytes, from + 11, 2);
    const minute = digits(bytes, from + 14, 2);
    // digits() gives NaN for anything else than digits, and every comparison with NaN is false.
    const date = year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= daysOfMonth(year, month);
    if (!(date && hour < 24 && minute < 60 && separated(bytes, from))) throw timestampFault(bytes, from);
    const dayNumber = daysFromCivil(year, month, day);
    if (this.originDay < 0) this.originDay = dayNumber;
    this.minuteS = (dayNumber - this.originDay) * 86400 + hour * 3600 + minute * 60;
    this.word0 = this.words.getInt32(from);
    this.word1 = this.words.getInt32(from + 4);
    this.word2 = this.words.getInt32(from + 8);
    this.word3 = this.words.getInt32(from + 12);
  }
}

/** `count` decimal digits as a number, or NaN. */
function digits(bytes: Buffer, at: number, count: number): number {
  let value = 0;
  for (let i = at; i < at + count; i++) {
    const digit = bytes[i]! - 48;
    if (!(digit >= 0 && digit <= 9)) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}

/** The punctuation of YYYY-MM-DD HH:MM, with a blank or T between date and time. */
function separated(bytes: Buffer, from: number): boolean {
  return (
    bytes[from + 4] === 45 &&
    bytes[from + 7] === 45 &&
    (bytes[from + 10] === 32 || bytes[from + 10] === 84) &&
    bytes[from + 13] === COLON
  );
}

/** Time zone at bytes[at]: Z, +HH, +HHMM or +HH:MM and what follows it, which must be the comma. Null = no zone. */
function zoneOffset(bytes: Buffer, at: number): { seconds: number; end: number } | null {
  const sign = bytes[at];
  if (sign === 90) return bytes[at + 1] === COMMA ? { seconds: 0, end: at + 1 } : null;
  if (sign !== 43 && sign !== 45) return null;
  const hours = digits(bytes, at + 1, 2);
  let end = at + 3;
  let minutes = 0;
  if (bytes[end] !== COMMA) {
    if (bytes[end] === COLON) end++;
    minutes = digits(bytes, end, 2);
    end += 2;
  }
  if (!(hours < 24 && minutes < 60 && bytes[end] === COMMA)) return null;
  const seconds = hours * 3600 + minutes * 60;
  return { seconds: sign === 45 ? -seconds : seconds, end };
}

/** Of the Gregorian calendar. */
function daysOfMonth(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days since 1970-01-01 of the Gregorian calendar: H. Hinnant, "chrono-compatible low-level date algorithms", days_from_civil. */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}

function timestampFault(bytes: Buffer, from: number): RowFault {
  return fieldFault('TIMESTAMP', bytes, from, from, TIMESTAMP_ALLOWED);
}

/** The fault of the field that begins at `at` and runs to the next comma or line end. */
function fieldFault(field: string, bytes: Buffer, from: number, at: number, allowed: string): RowFault {
  let end = at;
  const wanted = field === 'GeneratedTokens' ? LF : COMMA; // the last field shows what follows it
  while (end < bytes.length && bytes[end] !== wanted && bytes[end] !== LF && bytes[end] !== CR) end++;
  return new RowFault(field, valueIs(bytes.toString('utf8', at, end), allowed), at - from);
}
