import type { FastifyReply } from 'fastify';
import type { Tokenizer } from '../../tokenizer/index.ts';
import { type ApiError, errorBody } from '../api/index.ts';
import type { TokenLogprobs } from '../engine-link.ts';
import type { CallOutput, Choice, GenerationPlan, Usage } from '../generation-run.ts';
import { SseWriter } from '../sse-writer.ts';
import { type AnswerShape, event, jsonContent } from './answer-shape.ts';
import { echoesLogprobs, echoText } from './echo.ts';
import type { LazyText } from './json-pieces.ts';
import { promptList, tokenLogprob } from './token-logprobs.ts';

export interface StreamOptions {
  readonly tokenizer: Tokenizer;
  readonly bufferBytesMax: number;
  /** Each write is preceded by a comment with the wall time of the step's end, ns. */
  readonly stepTimes: boolean;
  /** The call failed before anything was sent. */
  readonly refused: (error: ApiError) => void;
  /** The client reads too slowly and was cut off. */
  readonly cutOff: () => void;
  /** Usage so far. */
  readonly usageNow: () => Usage;
}

/** State of one choice in the stream. */
interface ChoiceStream {
  readonly prefix: string;
  opened: boolean;
  characters: number;
}

/**
 * An answer as server-sent events: one event per token, those of one step in one write. The status line waits for the first of
 * them, so that a call which the engine refuses still gets its own status; after that errors are events of a stream that ends well.
 */
export class StreamOutput implements CallOutput {
  private readonly plan: GenerationPlan;
  private readonly shape: AnswerShape;
  private readonly options: StreamOptions;
  private readonly reply: FastifyReply;
  private readonly writer: SseWriter;
  private readonly suffix: string;
  private readonly streams: ChoiceStream[] = [];
  /** Nothing but text is asked for: events are put together from parts made before. */
  private readonly plain: boolean;
  private complete = false;
  private readonly promptDetails: TokenLogprobs[] = [];
  private readonly charactersOfPrompt: number[] = [];

  constructor(reply: FastifyReply, plan: GenerationPlan, shape: AnswerShape, options: StreamOptions) {
    this.reply = reply;
    this.plan = plan;
    this.shape = shape;
    this.options = options;
    this.suffix = shape.suffix;
    this.writer = new SseWriter(reply.raw, options.bufferBytesMax);
    const { call } = plan;
    this.plain = call.logprobs === null && !call.returnTokenIds && !call.continuousUsage;
  }

  tokens(choice: Choice, ids: Int32Array, at: number, count: number, logprobs: TokenLogprobs | null): void {
    const stream = this.open(choice);
    const { writer, shape, suffix } = this;
    for (let i = 0; i < count; i++) {
      const id = ids[at + i]!;
      if (this.plain) {
        writer.add(stream.prefix + choice.text.pushJson(id) + suffix);
      } else {
        const text = choice.text.push(id);
        const { call } = this.plan;
        const detail = {
          logprob:
            call.logprobs === null || logprobs === null ? null : tokenLogprob(logprobs, i, id, alternatives(this.plan)),
          tokenIds: call.returnTokenIds ? [id] : null,
          textOffset: stream.characters,
        };
        stream.characters += this.options.tokenizer.pieceText(id).length;
        writer.add(shape.detailed(choice, text, detail, this.usageNow()));
      }
      if (choice.text.stopString !== null) return;
    }
  }

  promptLogprobs(prompt: number, logprobs: TokenLogprobs): void {
    this.promptDetails[prompt] = logprobs;
  }

  finished(choice: Choice): void {
    const stream = this.open(choice);
    const rest = choice.text.flush();
    if (rest !== '') this.writer.add(stream.prefix + jsonContent(rest) + this.suffix);
    this.writer.add(this.shape.closing(choice, this.usageNow()));
  }

  done(usage: Usage): void {
    if (this.plan.call.includeUsage) this.writer.add(this.shape.usage(usage));
    this.writer.add(this.shape.done);
    this.complete = true;
  }

  failed(error: ApiError): void {
    // Tokens of this very step may wait to be sent: then the error comes after them.
    if (!this.writer.started && this.writer.empty) {
      this.options.refused(error);
      return;
    }
    this.writer.add(event(errorBody(error)));
    this.writer.add(this.shape.done);
    this.complete = true;
  }

  flush(stepEndNs: number): void {
    const { writer, reply, options } = this;
    if (writer.empty) return;
    if (!writer.started) reply.hijack();
    if (options.stepTimes) writer.addFirst(`: step-end ${stepEndNs}\n`);
    if (!writer.flush(reply.getHeaders())) options.cutOff();
    else if (this.complete) writer.end();
  }

  private usageNow(): Usage | null {
    return this.plan.call.continuousUsage ? this.options.usageNow() : null;
  }

  /** The choice's state; its first events go out with it: its role, and its prompt where that is echoed. */
  private open(choice: Choice): ChoiceStream {
    let stream = this.streams[choice.index];
    if (stream !== undefined) return stream;
    stream = { prefix: this.shape.prefix(choice), opened: true, characters: 0 };
    this.streams[choice.index] = stream;
    this.writer.add(this.shape.opening(choice));
    if (this.plan.call.echo) this.echo(choice, stream);
    return stream;
  }

  private echo(choice: Choice, stream: ChoiceStream): void {
    const { tokenizer } = this.options;
    const prompt = this.plan.prompts[choice.prompt]!;
    const detail = echoesLogprobs(this.plan.call) ? (this.promptDetails[choice.prompt] ?? null) : null;
    const text = detail === null ? echoText(this.plan, choice.prompt, tokenizer) : '';
    if (detail === null && typeof text === 'string') {
      stream.characters += text.length;
      if (text !== '') this.writer.add(stream.prefix + jsonContent(text) + this.suffix);
      return;
    }
    // The offsets of the output count on from the end of the prompt.
    stream.characters += this.promptCharacters(choice.prompt);
    this.writer.addSlowly(
      detail === null ? this.echoTexts(stream, text as LazyText) : this.echoDetails(choice, prompt, detail),
    );
  }

  /** Of the texts of a prompt's tokens: counted once for all its choices. */
  private promptCharacters(index: number): number {
    let characters = this.charactersOfPrompt[index];
    if (characters !== undefined) return characters;
    characters = 0;
    for (const id of this.plan.prompts[index]!) characters += this.options.tokenizer.pieceText(id).length;
    this.charactersOfPrompt[index] = characters;
    return characters;
  }

  private *echoTexts(stream: ChoiceStream, text: LazyText): Generator<string> {
    for (const part of text.texts()) if (part !== '') yield stream.prefix + jsonContent(part) + this.suffix;
  }

  private *echoDetails(choice: Choice, prompt: Int32Array, detail: TokenLogprobs): Generator<string> {
    let textOffset = 0;
    const list = promptList(prompt, detail, alternatives(this.plan));
    for (let i = 0; i < list.length; i++) {
      const text = this.options.tokenizer.pieceText(prompt[i]!);
      yield this.shape.detailed(choice, text, { logprob: list.at(i), tokenIds: null, textOffset }, null);
      textOffset += text.length;
    }
  }
}

/** Alternatives in the answer: a chat may ask for none beside the token itself. */
export function alternatives(plan: GenerationPlan): number {
  const asked = plan.call.logprobs ?? 0;
  return plan.call.kind === 'completion' ? Math.max(1, asked) : asked;
}
