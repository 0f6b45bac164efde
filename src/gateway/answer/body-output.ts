import type { FastifyReply } from 'fastify';
import type { Tokenizer } from '../../tokenizer/index.ts';
import type { ApiError } from '../api/index.ts';
import type { TokenLogprobs } from '../engine-link.ts';
import type { CallOutput, Choice, GenerationPlan, Usage } from '../generation-run.ts';
import type { AnswerShape, FinishedChoice, TokenLogprob } from './answer-shape.ts';
import { echoesLogprobs, echoText } from './echo.ts';
import { alternatives } from './stream-output.ts';
import { tokenLogprob } from './token-logprobs.ts';

interface Collected {
  choice: Choice;
  text: string;
  tokenIds: number[];
  promptIds: Int32Array;
  logprobs: (TokenLogprob | null)[] | null;
  promptLogprobs: (TokenLogprob | null)[] | null;
  logprobIds: number[];
  textOffsets: number[];
  offset: number;
}

/** An answer that is sent whole, when all its choices have ended. */
export class BodyOutput implements CallOutput {
  private readonly plan: GenerationPlan;
  private readonly shape: AnswerShape;
  private readonly reply: FastifyReply;
  private readonly tokenizer: Tokenizer;
  private readonly refused: (error: ApiError) => void;
  private readonly collected: Collected[] = [];
  private readonly promptDetails: TokenLogprobs[] = [];

  constructor(
    reply: FastifyReply,
    plan: GenerationPlan,
    shape: AnswerShape,
    tokenizer: Tokenizer,
    refused: (error: ApiError) => void,
  ) {
    this.reply = reply;
    this.plan = plan;
    this.shape = shape;
    this.tokenizer = tokenizer;
    this.refused = refused;
  }

  tokens(choice: Choice, ids: Int32Array, at: number, count: number, logprobs: TokenLogprobs | null): void {
    const to = this.of(choice);
    for (let i = 0; i < count; i++) {
      const id = ids[at + i]!;
      const text = choice.text.push(id);
      to.tokenIds.push(id);
      if (to.logprobs !== null && logprobs !== null) {
        to.logprobs.push(tokenLogprob(logprobs, i, id, alternatives(this.plan)));
        to.logprobIds.push(id);
        to.textOffsets.push(to.offset);
      }
      to.text += text;
      // Of the tokens as they are, not of what is released: text may be held back for a stop string.
      if (to.logprobs !== null) to.offset += this.tokenizer.pieceText(id).length;
      if (choice.text.stopString !== null) return;
    }
  }

  promptLogprobs(prompt: number, logprobs: TokenLogprobs): void {
    this.promptDetails[prompt] = logprobs;
  }

  finished(choice: Choice): void {
    this.of(choice).text += choice.text.flush();
  }

  done(usage: Usage): void {
    const choices: readonly FinishedChoice[] = this.collected;
    void this.reply.send(this.shape.body(this.plan.call, choices, usage));
  }

  failed(error: ApiError): void {
    this.refused(error);
  }

  flush(): void {}

  private of(choice: Choice): Collected {
    let to = this.collected[choice.index];
    if (to !== undefined) return to;
    const { call, prompts } = this.plan;
    const promptIds = prompts[choice.prompt]!;
    to = {
      choice,
      text: '',
      tokenIds: [],
      promptIds,
      logprobs: call.logprobs === null ? null : [],
      promptLogprobs: this.promptEntries(choice.prompt),
      logprobIds: [],
      textOffsets: [],
      offset: 0,
    };
    this.collected[choice.index] = to;
    if (call.echo) this.echo(to);
    return to;
  }

  private echo(to: Collected): void {
    if (to.logprobs !== null && to.promptLogprobs !== null && echoesLogprobs(this.plan.call)) {
      to.promptIds.forEach((id, i) => {
        const entry = to.promptLogprobs![i]!;
        to.logprobs!.push(entry === null ? null : { ...entry, top: entry.top.slice(0, alternatives(this.plan)) });
        to.logprobIds.push(id);
        to.textOffsets.push(to.offset);
        to.offset += this.tokenizer.pieceText(id).length;
      });
    }
    to.text = echoText(this.plan, to.choice.prompt, this.tokenizer);
  }

  /** Of the prompt of a choice, or null where nobody asked; the first token has none. */
  private promptEntries(prompt: number): (TokenLogprob | null)[] | null {
    const detail = this.promptDetails[prompt];
    if (detail === undefined) return null;
    const asked = Math.max(1, this.plan.call.sampling.promptLogprobs ?? 0);
    const ids = this.plan.prompts[prompt]!;
    return Array.from(ids, (id, i) => (i === 0 ? null : tokenLogprob(detail, i - 1, id, asked)));
  }
}
