import { z } from 'zod';

/** Nanoseconds per unit. */
const DURATION_UNITS_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  min: 60e9,
  h: 3600e9,
  d: 86_400e9,
};

const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

const DURATION = /^(?:(\d+)h(?=[0-5]?\dmin$))?(\d+(?:\.\d+)?) ?(ns|us|ms|s|min|h|d)$/;
const SIZE = /^(\d+(?:\.\d+)?) ?(B|KB|MB|GB|KiB|MiB|GiB)$/;

/** What `parseDurationNs` takes, in words for messages. */
const DURATION_ALLOWED = 'a number with a unit: ns, us, ms, s, min, h or d, such as 200ms, 10min or 1h30min';
/** What `parseSizeBytes` takes, in words for messages. */
const SIZE_ALLOWED = 'a number with a unit: B, KB, MB, GB, KiB, MiB or GiB, such as 4GiB';

/** Integer nanoseconds of a duration such as `200ms` or `1h30min`; null when the text is none or lies beyond 2^53 ns (104 days). */
export function parseDurationNs(text: string): number | null {
  const match = DURATION.exec(text);
  if (match === null) return null;
  const hours = Number(match[1] ?? 0);
  const ns = hours * DURATION_UNITS_NS['h']! + Math.round(Number(match[2]) * DURATION_UNITS_NS[match[3]!]!);
  return Number.isSafeInteger(ns) ? ns : null;
}

/** Integer bytes of a size such as `4GiB`; null when the text is none. */
export function parseSizeBytes(text: string): number | null {
  const match = SIZE.exec(text);
  if (match === null) return null;
  const bytes = Math.round(Number(match[1]) * SIZE_UNITS_BYTES[match[2]!]!);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** A schema for durations: text with a unit, since a bare number leaves open whether seconds or milliseconds are meant. */
export function duration(description: string) {
  return z
    .string()
    .regex(DURATION)
    .refine((text) => parseDurationNs(text) !== null)
    .meta({ title: 'duration', description: `${description} (${DURATION_ALLOWED})`, allowed: DURATION_ALLOWED });
}

/** A schema for sizes in bytes: text with a unit. */
export function size(description: string) {
  return z
    .string()
    .regex(SIZE)
    .refine((text) => parseSizeBytes(text) !== null)
    .meta({ title: 'size', description: `${description} (${SIZE_ALLOWED})`, allowed: SIZE_ALLOWED });
}

/** Nanoseconds of a text that the schema has already accepted. */
export function durationNs(text: string): number {
  const ns = parseDurationNs(text);
  if (ns === null) throw new RangeError(`duration: ${text} is not allowed; ${DURATION_ALLOWED}`);
  return ns;
}

/** Bytes of a text that the schema has already accepted. */
export function sizeBytes(text: string): number {
  const bytes = parseSizeBytes(text);
  if (bytes === null) throw new RangeError(`size: ${text} is not allowed; ${SIZE_ALLOWED}`);
  return bytes;
}
