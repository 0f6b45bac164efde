import { badRequest } from '../api/api-error.ts';
import type { GenerationCall } from '../api/generation-call.ts';
import { notAllowed } from '../api/lax-reader.ts';

/** What the answer of one request may cost. */
export interface AnswerBudget {
  /** Bytes of an answer that is not streamed, by `answerBytes`. */
  readonly answerBytesMax: number;
  /** Tokens of all prompts times the alternatives of each that the answer reports. */
  readonly promptLogprobsMax: number;
}

/** JSON of a token's text: most have fewer than ten characters, and some of them are escaped. */
const TEXT_BYTES = 16;
/** A log-probability: -1.2345678901234567e-10. */
const NUMBER_BYTES = 24;
const ID_BYTES = 8;
/** Keys and marks around an entry of `logprobs.content`, with the list of the token's bytes. */
const CHAT_ENTRY_BYTES = 72 + TEXT_BYTES + NUMBER_BYTES;
/** ... of an alternative in `top_logprobs` of a completion, and around its token. */
const ALTERNATIVE_BYTES = 4 + TEXT_BYTES + NUMBER_BYTES;
const COMPLETION_ENTRY_BYTES = 16 + TEXT_BYTES + NUMBER_BYTES;
/** ... of an alternative in `prompt_logprobs`. */
const PROMPT_ALTERNATIVE_BYTES = 56 + TEXT_BYTES + NUMBER_BYTES;
/** A choice without tokens; the answer around them. */
const CHOICE_BYTES = 256;

/** Bytes of an answer, estimated from above for tokens of usual length: of all that does not depend on the output, and per output token. */
interface AnswerBytes {
  readonly fixed: number;
  /** Of one more output token in every choice. */
  readonly perOutputToken: number;
}

/** @param promptTokens of each prompt of the call */
function answerBytes(call: GenerationCall, promptTokens: readonly number[]): AnswerBytes {
  const { n, promptLogprobs } = call.sampling;
  const alternatives = call.logprobs ?? 0;
  const entry =
    call.logprobs === null
      ? 0
      : call.kind === 'completion'
        ? COMPLETION_ENTRY_BYTES + Math.max(1, alternatives) * ALTERNATIVE_BYTES
        : (1 + alternatives) * CHAT_ENTRY_BYTES;
  const perToken = TEXT_BYTES + entry;
  const ids = call.returnTokenIds ? ID_BYTES : 0;
  // A completion repeats them in each of its choices.
  const promptRow = promptLogprobs === null ? 0 : Math.max(1, promptLogprobs) * PROMPT_ALTERNATIVE_BYTES;
  const ofPrompt =
    call.kind === 'chat'
      ? promptRow + ids + (call.echo ? n * TEXT_BYTES : 0)
      : n * ((call.kind === 'completion' ? promptRow + ids : 0) + (call.echo ? perToken : 0));
  let fixed = CHOICE_BYTES;
  for (const tokens of promptTokens) fixed += n * CHOICE_BYTES + tokens * ofPrompt;
  return { fixed, perOutputToken: promptTokens.length * n * (perToken + ids) };
}

/**
 * Holds a call, whose prompts have `promptTokens`, against the budget. Streams are written as they are generated, and only what is
 * kept of their prompts counts.
 * @returns the most output tokens of each choice that the answer has room for: a bound for calls that name no maximum themselves
 * @throws ApiError 400 that names what makes the answer large
 */
export function outputTokensWithin(
  call: GenerationCall,
  promptTokens: readonly number[],
  budget: AnswerBudget,
): number {
  const { promptLogprobs, n } = call.sampling;
  if (promptLogprobs !== null) {
    const rows = Math.max(1, promptLogprobs) * promptTokens.reduce((sum, tokens) => sum + tokens, 0);
    if (rows > budget.promptLogprobsMax) throw tooManyRows(call, rows, budget.promptLogprobsMax);
  }
  if (call.stream) return Number.POSITIVE_INFINITY;
  const { fixed, perOutputToken } = answerBytes(call, promptTokens);
  const outputTokens = call.outputTokensMax ?? Math.max(1, call.sampling.outputTokensMin);
  const wanted = fixed + perOutputToken * outputTokens;
  if (wanted <= budget.answerBytesMax) return Math.floor((budget.answerBytesMax - fixed) / perOutputToken);
  const choices = promptTokens.length * n;
  const param =
    fixed > wanted / 2 ? promptParam(call) : call.logprobs !== null ? 'logprobs' : n > 1 ? 'n' : 'max_tokens';
  const got = `the answer may have ${wanted} bytes (${choices} choices, ${outputTokens} tokens each)`;
  throw badRequest(
    param,
    `${param}: ${got}; expected: at most ${budget.answerBytesMax} bytes, unless it is streamed`,
    'answer_too_large',
  );
}

/** The field that repeats the prompt. */
function promptParam(call: GenerationCall): string {
  return call.echo ? 'echo' : call.sampling.promptLogprobs !== null ? 'prompt_logprobs' : 'return_token_ids';
}

function tooManyRows(call: GenerationCall, rows: number, max: number) {
  const param = call.echo && call.logprobs !== null ? 'logprobs' : 'prompt_logprobs';
  const message = `${param}: ${rows} log-probabilities of prompt tokens; expected: at most ${max} (tokens times alternatives)`;
  return badRequest(param, message, 'answer_too_large');
}

/** Bytes of a token in the answer of /tokenize: its id, its text, and both as an object. */
const TOKENIZED_BYTES = { id: ID_BYTES, text: TEXT_BYTES + 3, object: 24 + ID_BYTES + TEXT_BYTES };

/** @throws ApiError 400 when `tokens` do not fit into the answer of /tokenize */
export function requireTokensWithin(
  field: 'with_pieces' | 'return_token_strs' | null,
  tokens: number,
  budget: AnswerBudget,
): void {
  const { id, text, object } = TOKENIZED_BYTES;
  const each = field === null ? id : field === 'with_pieces' ? object : id + text;
  const tokensMax = Math.floor(budget.answerBytesMax / each);
  if (tokens <= tokensMax) return;
  if (field !== null) throw notAllowed(field, true, `false for ${tokens} tokens, true for at most ${tokensMax}`);
  throw badRequest('prompt', `prompt: has ${tokens} tokens; expected: at most ${tokensMax}`, 'answer_too_large');
}
