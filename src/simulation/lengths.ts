import { ConfigError } from '../core/errors.ts';
import { normalSource, type Uniform } from './random.ts';
import { checkCount, checkNotNegative, checkPositive } from './spec-check.ts';

/** How many tokens a prompt, a question or an output has. Every draw is an integer of at least 1. */
export type LengthSpec =
  | { readonly kind: 'fixed'; readonly tokens: number }
  /** Every integer from tokensMin to tokensMax. */
  | { readonly kind: 'uniform'; readonly tokensMin: number; readonly tokensMax: number }
  | {
      readonly kind: 'normal';
      readonly mean: number;
      readonly std: number;
      readonly tokensMin: number;
      readonly tokensMax: number;
    }
  | LognormalLength
  | EmpiricalLength;

/** Log-normal, given by its logarithm's mean and deviation or by two percentiles, cut to [tokensMin, tokensMax]. */
export type LognormalLength = { readonly kind: 'lognormal'; readonly tokensMin: number; readonly tokensMax: number } & (
  | { readonly mu: number; readonly sigma: number }
  | { readonly p50: number; readonly p99: number }
);

/** Values with weights (they need not sum to 1). */
export interface EmpiricalLength {
  readonly kind: 'empirical';
  readonly tokens: readonly number[];
  readonly weights: readonly number[];
}

/** The 0.99 quantile of the standard normal distribution. */
const NORMAL_P99 = 2.3263478740408408;

/** A function that draws lengths. `field` names the specification in errors. Throws ConfigError for numbers that are not allowed. */
export function lengthSource(spec: LengthSpec, uniform: Uniform, field = 'length'): () => number {
  switch (spec.kind) {
    case 'fixed':
      checkCount(`${field}.tokens`, spec.tokens);
      return () => spec.tokens;
    case 'uniform': {
      checkRange(field, spec);
      const width = spec.tokensMax - spec.tokensMin + 1;
      return () => spec.tokensMin + Math.floor(uniform() * width);
    }
    case 'normal': {
      checkRange(field, spec);
      checkPositive(`${field}.mean`, spec.mean);
      checkNotNegative(`${field}.std`, spec.std);
      const normal = normalSource(uniform);
      return () => clamp(spec.mean + spec.std * normal(), spec);
    }
    case 'lognormal': {
      const { mu, sigma } = logParameters(spec, field);
      const normal = normalSource(uniform);
      return () => clamp(Math.exp(mu + sigma * normal()), spec);
    }
    case 'empirical':
      return empiricalSource(spec, uniform, field);
  }
}

/** Largest length that `spec` can give. */
export function lengthMax(spec: LengthSpec): number {
  switch (spec.kind) {
    case 'fixed':
      return spec.tokens;
    case 'empirical':
      return Math.max(
        1,
        spec.tokens.reduce((largest, tokens) => Math.max(largest, tokens), 1),
      );
    default:
      return spec.tokensMax;
  }
}

/**
 * A distribution as CSV text: lines `value,weight`, an optional header, any line end (ServeGen's `*_tokens_pdf.csv` have this
 * form). Throws ConfigError that names `name`, line and column.
 */
export function parseLengthCsv(text: string, name: string): EmpiricalLength {
  const tokens: number[] = [];
  const weights: number[] = [];
  text.split(/\r?\n/).forEach((line, i) => {
    if (line.trim() === '' || (i === 0 && /^\uFEFF?\s*"?[a-z_]/i.test(line))) return;
    const cells = line.replace(/^\uFEFF/, '').split(',');
    const [value = '', weight = ''] = cells;
    if (cells.length !== 2 || !/^\s*\d+\s*$/.test(value)) {
      throw new ConfigError(
        `${name}:${i + 1}:1`,
        JSON.stringify(line),
        'a line is "tokens,weight" with an integer first',
      );
    }
    if (weight.trim() === '' || !(Number(weight) >= 0 && Number(weight) < Number.POSITIVE_INFINITY)) {
      throw new ConfigError(
        `${name}:${i + 1}:${value.length + 2}`,
        JSON.stringify(weight),
        'a weight is a number of at least 0',
      );
    }
    tokens.push(Number(value));
    weights.push(Number(weight));
  });
  const spec: EmpiricalLength = { kind: 'empirical', tokens, weights };
  checkEmpirical(spec, name);
  return spec;
}

function empiricalSource(spec: EmpiricalLength, uniform: Uniform, field: string): () => number {
  checkEmpirical(spec, field);
  const sums = new Float64Array(spec.weights.length);
  let total = 0;
  spec.weights.forEach((weight, i) => {
    total += weight;
    sums[i] = total;
  });
  return () => {
    const wanted = uniform() * total;
    // First index whose sum exceeds `wanted`: weights of 0 are never drawn.
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! > wanted) high = middle;
      else low = middle + 1;
    }
    // Published distributions hold requests of 0 tokens (failed ones); an engine has none.
    return Math.max(1, spec.tokens[low]!);
  };
}

function logParameters(spec: LognormalLength, field: string): { mu: number; sigma: number } {
  checkRange(field, spec);
  if ('mu' in spec) {
    checkNotNegative(`${field}.sigma`, spec.sigma);
    if (!Number.isFinite(spec.mu)) throw new ConfigError(`${field}.mu`, spec.mu, 'a finite number');
    return spec;
  }
  checkPositive(`${field}.p50`, spec.p50);
  if (!(spec.p99 >= spec.p50 && spec.p99 < Number.POSITIVE_INFINITY)) {
    throw new ConfigError(`${field}.p99`, spec.p99, `a finite number of at least p50 (${spec.p50})`);
  }
  return { mu: Math.log(spec.p50), sigma: Math.log(spec.p99 / spec.p50) / NORMAL_P99 };
}

function checkRange(field: string, range: { readonly tokensMin: number; readonly tokensMax: number }): void {
  checkCount(`${field}.tokensMin`, range.tokensMin);
  checkCount(`${field}.tokensMax`, range.tokensMax, range.tokensMin);
}

function checkEmpirical(spec: EmpiricalLength, field: string): void {
  checkCount(`${field}.tokens.length`, spec.tokens.length);
  if (spec.weights.length !== spec.tokens.length) {
    throw new ConfigError(`${field}.weights.length`, spec.weights.length, `as many as tokens (${spec.tokens.length})`);
  }
  for (const tokens of spec.tokens) checkCount(`${field}.tokens`, tokens, 0);
  for (const weight of spec.weights) checkNotNegative(`${field}.weights`, weight);
  if (!spec.weights.some((weight) => weight > 0)) throw new ConfigError(`${field}.weights`, 0, 'at least one above 0');
}

function clamp(tokens: number, range: { readonly tokensMin: number; readonly tokensMax: number }): number {
  return Math.min(range.tokensMax, Math.max(range.tokensMin, Math.round(tokens)));
}
