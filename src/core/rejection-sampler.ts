import { assert } from './assert.ts';
import { RNG_STREAM, type Rng } from './rng.ts';

/**
 * One sequence of a step whose drafts are verified: an input that a backend keeps and fills anew for each row, so that
 * verification allocates nothing. With draftTokens 0 the functions below are plain sampling of one token.
 *
 * Row i of `target` (vocabulary entries from targetAt + i * vocabulary) is the target model's view of the token that follows
 * the text and drafts [0, i); there are draftTokens + 1 rows, the last one for the bonus token.
 */
export class DraftVerification {
  vocabulary = 0;
  /** Logits for `verifyGreedy`, otherwise probabilities that already carry temperature, penalties and truncation. */
  target: Float32Array | Float64Array = NOTHING;
  targetAt = 0;
  /** Draft ids at drafts[draftsAt ..]; a negative id (a draft that a grammar has struck out) is always rejected. */
  drafts: Int32Array = NO_IDS;
  draftsAt = 0;
  draftTokens = 0;
  /**
   * Probabilities from which a draft model drew: row i, laid out as in `target`, gave draft i. null for a proposer
   * that is sure of its guess (n-gram): one-hot at the draft.
   */
  proposal: Float32Array | Float64Array | null = null;
  proposalAt = 0;
  /** Identifies the sequence in the draws: its request, and different for siblings of one request (n > 1). */
  sequence = 0;
  /** Position in the text of the first token that is decided here. Draws belong to positions, not to steps. */
  position = 0;
}

/**
 * Verifies drafts by rejection sampling (Leviathan, Kalman, Matias, "Fast Inference from Transformers via Speculative
 * Decoding", arXiv 2211.17192, algorithm 1 and appendix A.1): draft x is accepted with probability min(1, p(x) / q(x)); at
 * the first rejection a token is drawn from max(0, p - q), normalised; if all are accepted, a bonus token from the last row.
 * What is emitted is distributed as the target, whatever the drafts are.
 *
 * With one-hot q the same law is met by a single draw: choose the token from p as plain sampling would, and accept the
 * draft if it is that token. It is accepted with probability p(x) = min(1, p(x) / 1), and given that it is not, the token is
 * distributed as p without x, normalised. So n-gram drafts change no token of a seeded run, only the number of steps.
 *
 * Writes the accepted drafts and the one token after them to into[at ..]; returns how many drafts were accepted. The result
 * is a function of the input and of the draws at (stream, sequence, position): neither the batch nor its order matters.
 * Drafts must have been drawn on another stream than `acceptance` and `token`, or they are not independent of these draws.
 */
export function verifySampled(input: DraftVerification, rng: Rng, into: Int32Array, at: number): number {
  checkShape(input);
  const { vocabulary, target, drafts, draftTokens, proposal, sequence, position } = input;
  for (let i = 0; i < draftTokens; i++) {
    const draft = drafts[input.draftsAt + i]!;
    const targetRow = input.targetAt + i * vocabulary;
    if (proposal === null || draft < 0) {
      const token = drawToken(target, targetRow, vocabulary, rng.draw(RNG_STREAM.token, sequence, position + i));
      into[at + i] = token;
      if (token !== draft) return i;
      continue;
    }
    const proposalRow = input.proposalAt + i * vocabulary;
    const p = target[targetRow + draft]!;
    const q = proposal[proposalRow + draft]!;
    // Strictly below: a draw of 0 does not accept what the target excludes. A draft that its own model excludes is no sample of q.
    if (q > 0 && rng.draw(RNG_STREAM.acceptance, sequence, position + i) * q < p) {
      into[at + i] = draft;
      continue;
    }
    const uniform = rng.draw(RNG_STREAM.token, sequence, position + i);
    into[at + i] = drawResidual(target, targetRow, proposal, proposalRow, vocabulary, uniform);
    return i;
  }
  const bonusRow = input.targetAt + draftTokens * vocabulary;
  const uniform = rng.draw(RNG_STREAM.token, sequence, position + draftTokens);
  into[at + draftTokens] = drawToken(target, bonusRow, vocabulary, uniform);
  return draftTokens;
}

/**
 * Verifies drafts of a greedy sequence (temperature 0): a draft is accepted if it is the target's most likely token, so that
 * the output is that of plain greedy decoding. `target` may hold logits or probabilities; of equals the smallest id wins.
 * Writes and returns as `verifySampled`.
 */
export function verifyGreedy(input: DraftVerification, into: Int32Array, at: number): number {
  checkShape(input);
  const { vocabulary, target, drafts, draftTokens } = input;
  for (let i = 0; i < draftTokens; i++) {
    const token = mostLikely(target, input.targetAt + i * vocabulary, vocabulary);
    into[at + i] = token;
    if (token !== drafts[input.draftsAt + i]!) return i;
  }
  into[at + draftTokens] = mostLikely(target, input.targetAt + draftTokens * vocabulary, vocabulary);
  return draftTokens;
}

/**
 * Token whose stretch of the cumulated row holds uniform * total, for uniform in [0, 1). A row need not be normalised. A
 * token of probability 0 is never drawn.
 */
export function drawToken(row: Float32Array | Float64Array, from: number, vocabulary: number, uniform: number): number {
  let total = 0;
  for (let i = 0; i < vocabulary; i++) total += row[from + i]!;
  assert(total > 0, 'a target distribution has a token');
  const threshold = uniform * total;
  let sum = 0;
  let possible = 0;
  for (let i = 0; i < vocabulary; i++) {
    const p = row[from + i]!;
    if (p <= 0) continue;
    possible = i;
    sum += p;
    if (sum > threshold) break;
  }
  return possible;
}

/** As `drawToken`, from max(0, p - q). */
function drawResidual(
  p: Float32Array | Float64Array,
  pFrom: number,
  q: Float32Array | Float64Array,
  qFrom: number,
  vocabulary: number,
  uniform: number,
): number {
  let total = 0;
  for (let i = 0; i < vocabulary; i++) {
    const excess = p[pFrom + i]! - q[qFrom + i]!;
    if (excess > 0) total += excess;
  }
  // p = q up to rounding: a rejection has then no probability, and p is what is left to draw from.
  if (total <= 0) return drawToken(p, pFrom, vocabulary, uniform);
  const threshold = uniform * total;
  let sum = 0;
  let possible = 0;
  for (let i = 0; i < vocabulary; i++) {
    const excess = p[pFrom + i]! - q[qFrom + i]!;
    if (excess <= 0) continue;
    possible = i;
    sum += excess;
    if (sum > threshold) break;
  }
  return possible;
}

function mostLikely(row: Float32Array | Float64Array, from: number, vocabulary: number): number {
  let best = 0;
  let bestValue = row[from]!;
  for (let i = 1; i < vocabulary; i++) {
    const value = row[from + i]!;
    if (value > bestValue) {
      best = i;
      bestValue = value;
    }
  }
  return best;
}

function checkShape(input: DraftVerification): void {
  const { vocabulary, draftTokens } = input;
  assert(vocabulary >= 1, 'a vocabulary has a token');
  assert(draftTokens >= 0, 'a row has no negative number of drafts');
  assert(input.targetAt + (draftTokens + 1) * vocabulary <= input.target.length, 'each draft and the bonus have a row');
  assert(input.draftsAt + draftTokens <= input.drafts.length, 'each draft has an id');
  for (let i = 0; i < draftTokens; i++) {
    assert(input.drafts[input.draftsAt + i]! < vocabulary, 'a draft is a token of the vocabulary');
  }
  if (input.proposal === null) return;
  assert(input.proposalAt + draftTokens * vocabulary <= input.proposal.length, 'each draft has its probabilities');
}

const NOTHING = new Float64Array(0);
const NO_IDS = new Int32Array(0);
