import type { SamplingParameters } from '../../src/core/index.ts';
import { EOS, type HashModel, hiddenWord, nextToken, readWord, rootState, samplingKey } from './hash-model.ts';

export interface SerialOutput {
  readonly tokens: readonly number[];
  readonly reason: 'stop' | 'length';
}

/** The model's state behind a text. */
export function stateAfter(tokens: ArrayLike<number>, cacheSalt: number): number {
  let state = rootState(cacheSalt);
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i]!;
    state = readWord(state, id, hiddenWord(state, id));
  }
  return state;
}

/**
 * What one sequence alone would generate, token by token: a pure function without engine, blocks or steps. An EOS or stop id
 * ends it once `outputTokensMin` is reached, and is kept.
 */
export function serialRun(
  model: HashModel,
  prompt: ArrayLike<number>,
  cacheSalt: number,
  sampling: SamplingParameters,
  index: number,
  outputTokensMax: number,
): SerialOutput {
  const key = samplingKey(sampling, index);
  const tokens: number[] = [];
  let state = stateAfter(prompt, cacheSalt);
  while (tokens.length < outputTokensMax) {
    const id = nextToken(model, state, key);
    tokens.push(id);
    state = readWord(state, id, hiddenWord(state, id));
    if (tokens.length < sampling.outputTokensMin) continue;
    if ((id === EOS && !sampling.ignoreEos) || sampling.stopTokenIds.includes(id)) return { tokens, reason: 'stop' };
  }
  return { tokens, reason: 'length' };
}
