import type { FastifyReply } from 'fastify';
import type { Tokenizer } from '../../tokenizer/index.ts';
import type { ApiError } from '../api/index.ts';
import type { TokenLogprobs } from '../engine-link.ts';
import type { CallOutput, Choice, GenerationPlan, Usage } from '../generation-run.ts';
import type { AnswerShape, FinishedChoice } from './answer-shape.ts';
import { echoesLogprobs, echoText } from './echo.ts';
import { sendJson } from './json-pieces.ts';
import { alternatives } from './stream-output.ts';
import { joined, OutputLogprobs, promptList } from './token-logprobs.ts';

interface Collected {
  readonly choice: Choice;
  text: string;
  readonly tokenIds: number[];
  readonly logprobs: OutputLogprobs | null;
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
      to.text += choice.text.push(id);
      to.tokenIds.push(id);
      if (to.logprobs !== null && logprobs !== null) to.logprobs.push(logprobs, i, id);
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
    const { call, prompts } = this.plan;
    const choices = this.collected.map((each) => this.whole(each));
    // What the prompts give is repeated in every choice.
    let items = prompts.reduce((sum, ids) => sum + ids.length, 0) * this.itemsPerPromptToken();
    for (const { tokenIds, logprobs } of this.collected) {
      items +=
        tokenIds.length * (call.returnTokenIds ? 1 : 0) + (logprobs?.length ?? 0) * (1 + alternatives(this.plan));
    }
    void sendJson(this.reply, this.shape.body(call, choices, usage), items);
  }

  failed(error: ApiError): void {
    this.refused(error);
  }

  flush(): void {}

  private of(choice: Choice): Collected {
    const known = this.collected[choice.index];
    if (known !== undefined) return known;
    const logprobs = this.plan.call.logprobs === null ? null : new OutputLogprobs(alternatives(this.plan));
    const collected = { choice, text: '', tokenIds: [], logprobs };
    this.collected[choice.index] = collected;
    return collected;
  }

  /** A choice with what its prompt adds to it. */
  private whole({ choice, text, tokenIds, logprobs }: Collected): FinishedChoice {
    const { call, prompts } = this.plan;
    const promptIds = prompts[choice.prompt]!;
    const detail = this.promptDetails[choice.prompt];
    const ofPrompt = (count: number) => (detail === undefined ? null : promptList(promptIds, detail, count));
    const echoed = echoesLogprobs(call) ? ofPrompt(alternatives(this.plan)) : null;
    return {
      choice,
      text: call.echo ? echoText(this.plan, choice.prompt, this.tokenizer, text) : text,
      tokenIds,
      promptIds,
      logprobs: logprobs === null || echoed === null ? logprobs : joined(echoed, logprobs),
      promptLogprobs: ofPrompt(Math.max(1, call.sampling.promptLogprobs ?? 0)),
    };
  }

  private itemsPerPromptToken(): number {
    const { call, promptLogprobs } = this.plan;
    const { n } = call.sampling;
    return n * ((promptLogprobs ?? 0) + (call.echo ? 1 : 0) + (call.returnTokenIds ? 1 : 0));
  }
}
