import { workerData } from 'node:worker_threads';
import { ChatTemplateError, type ChatTemplateOptions, type TemplateMessage } from '../tokenizer/index.ts';
import { openTokenizer } from './open-tokenizer.ts';

/** A text, or messages, to turn into ids in a thread of the pool. */
export type TokenizerTask =
  | { readonly text: string; readonly addSpecialTokens: boolean }
  | { readonly messages: readonly TemplateMessage[]; readonly options: ChatTemplateOptions };

const tokenizer = openTokenizer((workerData as { folder: string | null }).folder);

/** Ids, or what the chat template says against the messages: classes of errors do not survive the way between threads. */
export type TokenizerResult = Int32Array | { readonly refused: string };

export default function encode(task: TokenizerTask): TokenizerResult {
  if ('text' in task) return tokenizer.encode(task.text, task.addSpecialTokens);
  try {
    return tokenizer.encode(tokenizer.chatPrompt(task.messages, task.options), false);
  } catch (error) {
    if (error instanceof ChatTemplateError) return { refused: error.message };
    throw error;
  }
}
