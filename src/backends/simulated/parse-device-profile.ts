import { type DeviceProfile, SAMPLING_KINDS } from './device-profile.ts';

/** A profile that cannot be used. The message names the file, the field and what is wrong with it. */
export class ProfileError extends Error {
  constructor(file: string, problem: string) {
    super(`${file}: ${problem}`);
    this.name = 'ProfileError';
  }
}

type Json = Readonly<Record<string, unknown>>;

/** Checks a parsed device profile: format version, that every table has as many times as points, rising grids. Throws ProfileError. */
export function parseDeviceProfile(file: string, json: unknown): DeviceProfile {
  const profile = object(file, 'profile', json);
  if (profile['formatVersion'] !== 1) {
    throw new ProfileError(file, `formatVersion: ${JSON.stringify(profile['formatVersion'])} is not allowed; 1`);
  }
  if (typeof profile['device'] !== 'string') throw new ProfileError(file, 'device: missing; the name of a device');
  const peaks = object(file, 'peaks', profile['peaks']);
  for (const field of ['hbmBytesPerSecond', 'bf16FlopsPerSecond', 'fp8FlopsPerSecond']) positive(file, peaks, field);
  const elementwise = object(file, 'elementwise', profile['elementwise']);
  for (const field of ['floorNs', 'l2BytesPerSecond', 'l2Bytes', 'bytesPerSecond']) positive(file, elementwise, field);
  const gemm = object(file, 'gemm', profile['gemm']);
  for (const format of ['bf16', 'fp8']) grid(file, `gemm.${format}`, gemm[format], ['ns', 'ks', 'ms']);
  const coldGemm = object(file, 'coldGemm', profile['coldGemm']);
  positive(file, coldGemm, 'factor');
  tables(file, { 'coldGemm.shapes': coldGemm['shapes'] }, 'coldGemm.shapes', ['ms']);
  const sampling = object(file, 'sampling', profile['sampling']);
  for (const kind of SAMPLING_KINDS) grid(file, `sampling.${kind}`, sampling[kind], ['vocabs', 'rows']);
  tables(file, profile, 'contextAttention', ['batches', 'tokens']);
  tables(file, profile, 'generationAttention', ['batches', 'contexts']);
  tables(file, profile, 'moe', ['tokens']);
  tables(file, profile, 'allReduce', ['elements']);
  tables(file, profile, 'nccl', ['elements']);
  return json as DeviceProfile;
}

function tables(file: string, profile: Json, name: string, grids: readonly string[]): void {
  const list = profile[name];
  if (!Array.isArray(list) || list.length === 0) throw new ProfileError(file, `${name}: a list of tables is needed`);
  list.forEach((table, index) => {
    grid(file, `${name}[${index}]`, table, grids);
  });
}

function grid(file: string, where: string, table: unknown, grids: readonly string[]): void {
  const fields = object(file, where, table);
  let points = 1;
  for (const name of grids) {
    const values = numbers(file, `${where}.${name}`, fields[name]);
    if (values.some((value, index) => index > 0 && value <= values[index - 1]!)) {
      throw new ProfileError(file, `${where}.${name}: must rise`);
    }
    points *= values.length;
  }
  const times = numbers(file, `${where}.timesNs`, fields['timesNs']);
  if (times.length !== points) {
    throw new ProfileError(file, `${where}.timesNs: has ${times.length} times, the grid has ${points} points`);
  }
}

function object(file: string, where: string, value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ProfileError(file, `${where}: an object is needed`);
  }
  return value as Json;
}

function numbers(file: string, where: string, value: unknown): readonly number[] {
  const valid =
    Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'number' && each >= 0);
  if (!valid) throw new ProfileError(file, `${where}: a list of numbers of at least 0 is needed`);
  return value as number[];
}

function positive(file: string, fields: Json, field: string): void {
  const value = fields[field];
  if (!(typeof value === 'number' && value > 0 && Number.isFinite(value))) {
    throw new ProfileError(file, `${field}: ${JSON.stringify(value)} is not allowed; a number above 0`);
  }
}
