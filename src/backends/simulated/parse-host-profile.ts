import { type EngineHostProfile, PREDICTED_METRICS, UNIT_SCALE } from './engine-host-profile.ts';
import { ProfileError } from './parse-device-profile.ts';

type Json = Readonly<Record<string, unknown>>;

/** Every field that is a number of at least 0. */
const NUMBERS = [
  'perStepNs',
  'perStepTensorParallelNs',
  'perCollectiveNs',
  'perLayerNs',
  'perKernelNs',
  'perSequenceNs',
  'perOutputTokenNs',
  'samplingNsPerVocab',
  'piecewiseNsPerLayer',
  'eagerNsPerLayerKernel',
  'captureTokensMax',
  'captureTokensPerSequence',
  'requestBeforeNs',
  'requestAfterNs',
  'perPromptTokenNs',
  'firstTokenNsPerSequence',
  'routeSkew',
  'expertCompileNs',
] as const satisfies readonly (keyof EngineHostProfile)[];
const OTHERS = ['formatVersion', 'engine', 'createdOn', 'sources', 'slowFirstTokens', 'scale', 'residuals'];

/** Checks a parsed engine host profile: every number is there and not negative, nothing else is. Throws ProfileError. */
export function parseHostProfile(file: string, json: unknown): EngineHostProfile {
  const profile = object(file, 'profile', json);
  if (profile['formatVersion'] !== 1) {
    throw new ProfileError(file, `formatVersion: ${JSON.stringify(profile['formatVersion'])} is not allowed; 1`);
  }
  const unknown = Object.keys(profile).find(
    (key) => !(OTHERS.includes(key) || (NUMBERS as readonly string[]).includes(key)),
  );
  if (unknown !== undefined) throw new ProfileError(file, `${unknown}: unknown field`);
  if (typeof profile['engine'] !== 'string') throw new ProfileError(file, 'engine: missing; the name of an engine');
  for (const field of NUMBERS) notNegative(file, field, profile[field]);
  const scale = object(file, 'scale', profile['scale']);
  for (const field of Object.keys(UNIT_SCALE)) notNegative(file, `scale.${field}`, scale[field]);
  const slow = object(file, 'slowFirstTokens', profile['slowFirstTokens']);
  for (const field of ['share', 'nsMax']) notNegative(file, `slowFirstTokens.${field}`, slow[field]);
  if ((slow['share'] as number) > 1) {
    throw new ProfileError(file, `slowFirstTokens.share: ${slow['share']} is not allowed; a share from 0 to 1`);
  }
  const residuals = profile['residuals'];
  if (!Array.isArray(residuals)) throw new ProfileError(file, 'residuals: a list is needed; it may be empty');
  residuals.forEach((entry, index) => {
    checkResidual(file, `residuals[${index}]`, entry);
  });
  return json as EngineHostProfile;
}

function checkResidual(file: string, where: string, json: unknown): void {
  const residual = object(file, where, json);
  if (typeof residual['model'] !== 'string') throw new ProfileError(file, `${where}.model: a name is needed`);
  for (const field of ['load', 'tensorParallel', 'extrapolations']) {
    notNegative(file, `${where}.${field}`, residual[field]);
  }
  oneOf(file, `${where}.cold`, residual['cold'], [true, false]);
  oneOf(file, `${where}.family`, residual['family'], ['dense', 'experts']);
  oneOf(file, `${where}.weightFormat`, residual['weightFormat'], ['bf16', 'fp8']);
  for (const [metric, error] of Object.entries(object(file, `${where}.errors`, residual['errors']))) {
    oneOf(file, `${where}.errors`, metric, PREDICTED_METRICS);
    if (!(typeof error === 'number' && Number.isFinite(error) && error > -1)) {
      const allowed = 'predicted / measured - 1, a number above -1';
      throw new ProfileError(file, `${where}.errors.${metric}: ${JSON.stringify(error)} is not allowed; ${allowed}`);
    }
  }
}

function oneOf(file: string, where: string, value: unknown, allowed: readonly unknown[]): void {
  if (allowed.includes(value)) return;
  const words = allowed.map((each) => JSON.stringify(each)).join(', ');
  throw new ProfileError(file, `${where}: ${JSON.stringify(value)} is not allowed; one of ${words}`);
}

function object(file: string, where: string, value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ProfileError(file, `${where}: an object is needed`);
  }
  return value as Json;
}

function notNegative(file: string, where: string, value: unknown): void {
  if (!(typeof value === 'number' && Number.isFinite(value) && value >= 0)) {
    throw new ProfileError(file, `${where}: ${JSON.stringify(value)} is not allowed; a number of at least 0`);
  }
}
