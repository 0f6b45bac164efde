import type { Tokenizer } from '../../tokenizer/index.ts';
import type { GenerationCall } from '../api/index.ts';
import type { GenerationPlan } from '../generation-run.ts';
import { LazyText } from './json-pieces.ts';

/**
 * What an echo repeats: the prompt's text, or of a chat the last message if it is of the role that answers (as in vLLM,
 * vllm/entrypoints/openai/chat_completion/serving.py). `rest` follows it.
 */
export function echoText(plan: GenerationPlan, prompt: number, tokenizer: Tokenizer, rest = ''): string | LazyText {
  const { call } = plan;
  if (call.kind === 'chat') return lastOwnMessage(call) + rest;
  return new LazyText(plan.prompts[prompt]!, tokenizer, call.skipSpecialTokens, rest);
}

/** Whether the tokens of the echo have log-probabilities in the answer. */
export function echoesLogprobs(call: GenerationCall): boolean {
  return call.echo && call.kind !== 'chat' && call.logprobs !== null;
}

function lastOwnMessage(call: GenerationCall): string {
  const [prompt] = call.prompts;
  if (prompt?.kind !== 'chat') return '';
  const last = prompt.messages[prompt.messages.length - 1];
  if (last === undefined) return '';
  return prompt.options.addGenerationPrompt && last.role !== 'assistant' ? '' : last.content;
}
