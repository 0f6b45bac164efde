import { randomGamma, randomNormal } from 'd3-random';
import seedrandom from 'seedrandom';

/** Beyond this nearly all intervals are 0 and the mean rests on draws that no run is long enough to see. */
export const CV_MAX = 100;

/** A source of uniform numbers in [0, 1). */
export type Uniform = () => number;

/**
 * Uniform numbers for one purpose of one scenario: the same (seed, purpose) always gives the same numbers, and two purposes
 * never share any, so that a change to lengths leaves arrivals alone. Alea (J. Baagøe) of the `seedrandom` package: 32
 * random bits a number, no transcendental function.
 */
export function uniformSource(seed: number | string, purpose: string): Uniform {
  const next = seedrandom.alea(`${seed}/${purpose}`);
  return () => next();
}

/**
 * Draws below use Math.log, whose last bit may differ between JavaScript engines: round what they give to integers at once.
 */

/** Exponential with mean 1, by inversion. */
export function exponential(uniform: Uniform): number {
  return -Math.log(1 - uniform());
}

/** Standard normal: the polar method of G. Marsaglia (d3-random). */
export function normalSource(uniform: Uniform): () => number {
  return randomNormal.source(uniform)(0, 1);
}

/**
 * Gamma with mean 1 and coefficient of variation `cv` (shape 1 / cv^2, scale cv^2): Marsaglia and Tsang, "A simple method for
 * generating gamma variables", ACM TOMS 26(3), 2000 (d3-random). A cv of less than a millionth (a shape beyond the method's
 * arithmetic) gives 1. `cv` at most `CV_MAX`.
 */
export function gammaSource(uniform: Uniform, cv: number): () => number {
  if (cv < 1e-6) return () => 1;
  return randomGamma.source(uniform)(1 / (cv * cv), cv * cv);
}
