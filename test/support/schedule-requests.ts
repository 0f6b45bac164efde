import { ArrayTokens, GREEDY, mix32, Request, type SamplingParameters } from '../../src/core/index.ts';
import { FIRST_TOKEN } from './hash-model.ts';
import type { Schedule, ScheduledRequest } from './schedule.ts';
import { type SerialOutput, serialRun } from './serial-oracle.ts';

/** A request of a schedule made real, and what a serial run of each of its sequences says. */
export interface PreparedRequest {
  readonly spec: ScheduledRequest;
  readonly request: Request;
  /** Index = place among the siblings. */
  readonly expected: readonly SerialOutput[];
}

/** Longest part of a prompt that is shared with other requests. */
const SHARED_TOKENS_MAX = 40;

export function prepareRequests(schedule: Schedule): PreparedRequest[] {
  const prepared: PreparedRequest[] = [];
  schedule.requests.forEach((spec, id) => {
    const prompt = Int32Array.from(promptOf(schedule, spec, id, prepared));
    const sampling: SamplingParameters = {
      ...GREEDY,
      seed: spec.samplingSeed,
      ignoreEos: spec.ignoreEos,
      outputTokensMin: spec.outputTokensMin,
      stopTokenIds: spec.stopTokens ? [FIRST_TOKEN, FIRST_TOKEN + 1] : [],
      n: spec.n,
      promptLogprobs: spec.promptLogprobs ? 0 : null,
    };
    const request = new Request(id, spec.arrivalNs, {
      prompt: new ArrayTokens(prompt),
      outputTokensMax: spec.outputTokensMax,
      sampling,
      priority: spec.priority,
      cacheSalt: spec.cacheSalt,
      timeoutNs: spec.deadlineNs ?? Number.POSITIVE_INFINITY,
    });
    const outputTokensMax = Math.min(spec.outputTokensMax, schedule.changes.modelLenMax! - prompt.length);
    const expected = Array.from({ length: spec.n }, (_, index) => {
      return serialRun(schedule.model, prompt, spec.cacheSalt, sampling, index, outputTokensMax);
    });
    prepared.push({ spec, request, expected });
  });
  return prepared;
}

function promptOf(
  schedule: Schedule,
  spec: ScheduledRequest,
  id: number,
  earlier: readonly PreparedRequest[],
): number[] {
  const shared: number[] = [];
  const before = earlier[id - spec.turnOf];
  if (spec.turnOf > 0 && before !== undefined) {
    const { prompt } = before.request;
    for (let i = 0; i < prompt.length; i++) shared.push(prompt.array![i]!);
    shared.push(...before.expected[0]!.tokens);
  } else {
    for (let i = 0; i < spec.documentTokens; i++) shared.push(token(schedule, 1000 + spec.document, i));
  }
  const own = Array.from({ length: spec.ownTokens }, (_, i) => token(schedule, id, i));
  return [...shared.slice(0, SHARED_TOKENS_MAX), ...own];
}

function token(schedule: Schedule, stream: number, offset: number): number {
  return FIRST_TOKEN + ((mix32(Math.imul(stream + 1, 0x9e3779b1) ^ mix32(offset)) >>> 0) % schedule.model.vocabulary);
}
