import { allowedBy, schemaAt } from '../config/allowed.ts';
import { scenarioJsonSchema } from '../config/json-schema.ts';
import { parseDurationNs } from '../config/units.ts';
import { UsageError } from './exit-codes.ts';

/** The range of a numeric flag, ends included. */
export interface NumberRange {
  readonly min: number;
  readonly max: number;
  readonly integer: boolean;
  /** What is allowed, in words. */
  readonly words: string;
}

/** A parser for commander. Throws UsageError naming flag, value and range. */
export function numberFlag(flag: string, range: NumberRange): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    const fits = value >= range.min && value <= range.max && (!range.integer || Number.isInteger(value));
    if (!fits) throw notAllowed(flag, text, range.words);
    return value;
  };
}

/** An integer in [min, max]. */
export function integerRange(min: number, max: number): NumberRange {
  return { min, max, integer: true, words: `an integer in [${min}, ${max}]` };
}

/** The range that the scenario schema gives to the field at `path`: a flag takes what the file takes. */
export function scenarioRange(...path: readonly string[]): NumberRange {
  const node = schemaAt(scenarioJsonSchema, undefined, path);
  return {
    min: typeof node.minimum === 'number' ? node.minimum : Number.NEGATIVE_INFINITY,
    max: typeof node.maximum === 'number' ? node.maximum : Number.POSITIVE_INFINITY,
    integer: node.type === 'integer',
    words: allowedBy(node),
  };
}

/** One of a few words. */
export function choiceFlag<T extends string>(flag: string, choices: readonly T[]): (text: string) => T {
  return (text) => {
    const choice = choices.find((each) => each === text);
    if (choice === undefined) throw notAllowed(flag, text, choices.join(', '));
    return choice;
  };
}

/** Part of a workload in its own time, nanoseconds from its first request: [startNs, endNs). */
export interface TimeWindow {
  readonly startNs: number;
  readonly endNs: number;
}

const WINDOW_WORDS = 'START:END, seconds or durations such as 0:600 or 10min:1h; either may be left out';

/** `START:END`; bare numbers are seconds. */
export function windowFlag(flag: string): (text: string) => TimeWindow {
  return (text) => {
    const parts = text.split(':');
    if (parts.length !== 2) throw notAllowed(flag, text, WINDOW_WORDS);
    const startNs = parts[0] === '' ? 0 : timeNs(parts[0]!);
    const endNs = parts[1] === '' ? Number.POSITIVE_INFINITY : timeNs(parts[1]!);
    if (startNs === null || endNs === null) throw notAllowed(flag, text, WINDOW_WORDS);
    if (startNs >= endNs) throw notAllowed(flag, text, 'a START before END');
    return { startNs, endNs };
  };
}

function timeNs(text: string): number | null {
  return parseDurationNs(/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);
}

function notAllowed(flag: string, text: string, words: string): UsageError {
  return new UsageError(`${flag}: ${JSON.stringify(text)} is not allowed; allowed: ${words}`);
}
