import { mix32, type SamplingParameters } from '../../src/core/index.ts';

/** End-of-sequence id of the hash model; its other ids begin at FIRST_TOKEN. */
export const EOS = 2;
export const FIRST_TOKEN = 3;

/**
 * A "language model" whose every output depends on its whole context, as a transformer's does. Position p stores two words
 * of KV: the token's id, and a hidden word that depends on the id and on all KV before it. The next token is a hash of all
 * words read, in order. One wrong, missing or misplaced word anywhere changes all that follows.
 */
export interface HashModel {
  /** Ids are FIRST_TOKEN .. FIRST_TOKEN + vocabulary - 1: few make n-grams repeat, many make an error visible at once. */
  readonly vocabulary: number;
  /** One token in so many is EOS; 0 = none. */
  readonly eosEvery: number;
}

/**
 * State of an empty context. The salt stands for what KV depends on beside the tokens (an adapter, an image): blocks shared
 * across salts are wrong.
 */
export function rootState(cacheSalt: number): number {
  return mix32(0x1f123bb5 + cacheSalt);
}

/** Hidden word of token `id` behind a context with this state. */
export function hiddenWord(state: number, id: number): number {
  return mix32(Math.imul(state, 0x9e3779b1) ^ mix32(id + 0x7f4a7c15));
}

/** State after one more position was read. */
export function readWord(state: number, id: number, hidden: number): number {
  return mix32(Math.imul(state ^ Math.imul(id, 0x85ebca6b), 0x27d4eb2f) ^ hidden);
}

/** What tells the output of two sequences with the same text apart: the seed and the place among siblings. */
export function samplingKey(sampling: SamplingParameters, index: number): number {
  return mix32(Math.imul(sampling.seed ?? 0, 0x165667b1) + index);
}

/** Next token behind a context with this state. */
export function nextToken(model: HashModel, state: number, key: number): number {
  const h = mix32(state ^ key) >>> 0;
  if (model.eosEvery > 0 && h % model.eosEvery === 0) return EOS;
  return FIRST_TOKEN + ((mix32(h) >>> 0) % model.vocabulary);
}
