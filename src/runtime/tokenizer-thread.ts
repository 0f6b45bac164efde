import { workerData } from 'node:worker_threads';
import type { ChatTemplateOptions, TemplateMessage } from '../tokenizer/index.ts';
import { openTokenizer } from './open-tokenizer.ts';

/** A text, or messages, to turn into ids in a thread of the pool. */
export type TokenizerTask =
  | { readonly text: string; readonly addSpecialTokens: boolean }
  | { readonly messages: readonly TemplateMessage[]; readonly options: ChatTemplateOptions };

const tokenizer = openTokenizer((workerData as { folder: string | null }).folder);

export default function encode(task: TokenizerTask): Int32Array {
  if ('text' in task) return tokenizer.encode(task.text, task.addSpecialTokens);
  return tokenizer.encode(tokenizer.chatPrompt(task.messages, task.options), false);
}
