import { Piscina } from 'piscina';
import type { PromptEncoder } from '../gateway/context.ts';
import {
  ChatTemplateError,
  type ChatTemplateOptions,
  printedCharacters,
  type TemplateMessage,
  type Tokenizer,
  TokenizerBusyError,
} from '../tokenizer/index.ts';
import type { TokenizerResult, TokenizerTask } from './tokenizer-thread.ts';

/**
 * Up to so many characters a text is tokenised at once: about 0.3 ms of the gateway's thread for ordinary text (SmolLM2's tokenizer), where
 * the way to another thread and back adds 0.1 to 0.2 ms.
 */
const INLINE_CHARACTERS_MAX = 1000;

/** Turns prompts into ids: short ones at once, long ones in threads, so that no long prompt holds up everybody's tokens. */
export class TokenizerPool implements PromptEncoder {
  private readonly tokenizer: Tokenizer;
  private readonly pool: Piscina | null;
  private readonly queueMax: number;

  /** `threads` 0: everything at once, in the caller's thread. */
  constructor(tokenizer: Tokenizer, folder: string | null, threads: number, queueMax: number) {
    this.tokenizer = tokenizer;
    this.queueMax = queueMax;
    const here = import.meta.url;
    const typescript = here.endsWith('.ts');
    this.pool =
      threads === 0
        ? null
        : new Piscina({
            filename: new URL(typescript ? './tokenizer-thread.ts' : './tokenizer-thread.js', here).href,
            execArgv: typescript ? ['--import', import.meta.resolve('tsx')] : [],
            workerData: { folder },
            minThreads: 0,
            maxThreads: threads,
            maxQueue: queueMax,
            idleTimeout: 30_000,
          });
  }

  get queueLength(): number {
    return this.pool?.queueSize ?? 0;
  }

  async encode(text: string, addSpecialTokens: boolean): Promise<Int32Array> {
    if (this.pool === null || text.length <= INLINE_CHARACTERS_MAX)
      return this.tokenizer.encode(text, addSpecialTokens);
    return this.run(this.pool, { text, addSpecialTokens });
  }

  /** Throws ChatTemplateError when the template refuses the messages. */
  async encodeChat(messages: readonly TemplateMessage[], options: ChatTemplateOptions): Promise<Int32Array> {
    if (this.pool === null || printedCharacters(messages, options, INLINE_CHARACTERS_MAX) <= INLINE_CHARACTERS_MAX)
      return this.tokenizer.encode(this.tokenizer.chatPrompt(messages, options), false);
    return this.run(this.pool, { messages, options });
  }

  async close(): Promise<void> {
    await this.pool?.destroy();
  }

  private async run(pool: Piscina, task: TokenizerTask): Promise<Int32Array> {
    if (pool.queueSize >= this.queueMax) throw new TokenizerBusyError(this.queueMax);
    const result = (await pool.run(task)) as TokenizerResult;
    if (result instanceof Int32Array) return result;
    throw new ChatTemplateError(result.refused);
  }
}
