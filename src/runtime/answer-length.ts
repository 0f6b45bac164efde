import { mix32 } from '../core/index.ts';

/** Lengths of answers nobody asked a length for, in tokens: 24 + a multiple of 4 below 256, as short chat answers are. */
const SHORTEST = 24;
const STEPS = 64;
const STEP = 4;

/**
 * Where a simulated model ends by itself: a fixed function of the prompt's end and the seed, so that the same question gets the same
 * answer.
 */
export function impliedAnswerLength(prompt: Int32Array, seed: number | null): number {
  let hash = seed ?? 0;
  for (let i = Math.max(0, prompt.length - 64); i < prompt.length; i++) hash = Math.imul(hash ^ prompt[i]!, 0x01000193);
  return SHORTEST + STEP * ((mix32(hash) >>> 0) % STEPS);
}
