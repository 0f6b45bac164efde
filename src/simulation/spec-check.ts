import { ConfigError } from '../core/errors.ts';

/** Checks of numbers in specifications, for callers that did not come through the configuration's schema. */

export function checkPositive(field: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw new ConfigError(field, value, 'a finite number above 0');
}

export function checkNotNegative(field: string, value: number): void {
  if (!(value >= 0 && value < Number.POSITIVE_INFINITY))
    throw new ConfigError(field, value, 'a finite number of at least 0');
}

export function checkCount(field: string, value: number, min = 1): void {
  if (!(Number.isSafeInteger(value) && value >= min))
    throw new ConfigError(field, value, `an integer of at least ${min}`);
}

export function checkBetween(field: string, value: number, min: number, max: number): void {
  if (!(value >= min && value <= max)) throw new ConfigError(field, value, `a number from ${min} to ${max}`);
}
