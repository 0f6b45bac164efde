import type { GenerationFacts } from '../../observability/spans/index.ts';
import type { GenerationPlan, GenerationRun, Usage } from '../generation-run.ts';

/** What a span may say of a call: sizes and settings, never its text. `userId`: a hash, or null. */
export function generationFacts(
  plan: GenerationPlan,
  run: GenerationRun,
  usage: Usage,
  identity: { readonly id: string; readonly model: string },
  userId: string | null,
): GenerationFacts {
  const { call } = plan;
  return {
    operation: call.kind === 'chat' ? 'chat' : 'text_completion',
    requestModel: call.model ?? identity.model,
    responseId: identity.id,
    maxTokens: Math.max(...plan.outputTokensMax),
    requestMaxTokens: call.outputTokensMax,
    temperature: call.sampling.temperature,
    topP: call.sampling.topP,
    stream: call.stream,
    promptTokens: usage.promptTokens,
    outputTokens: usage.outputTokens,
    cachedPromptTokens: usage.cachedPromptTokens,
    finishReasons: run.choices.flatMap((choice) => (choice.finishReason === null ? [] : [choice.finishReason])),
    userId,
  };
}
