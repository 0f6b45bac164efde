import type { REQUEST_DEFAULTS, SamplingParameters } from '../../core/request.ts';

/** A message with the names that chat templates read; text parts are already joined. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
  readonly tool_calls?: readonly unknown[];
  readonly tool_call_id?: string;
  readonly reasoning_content?: string;
}

/** What a chat template is given beside the messages. */
export interface ChatPromptOptions {
  readonly addGenerationPrompt: boolean;
  /** The last message is the beginning of the answer: it stays open. */
  readonly continueFinalMessage: boolean;
  /** Tool definitions as sent, or null. */
  readonly tools: readonly unknown[] | null;
  readonly documents: readonly unknown[] | null;
  /** Further variables of the template, by name. */
  readonly templateVariables: Readonly<Record<string, unknown>>;
}

export type PromptInput =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly ids: Int32Array }
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[]; readonly options: ChatPromptOptions };

/** What the model's output is held to; anything but text only where the backend can. */
export type OutputFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'json-object' }
  | { readonly kind: 'json-schema'; readonly name: string; readonly schema: unknown }
  /** vLLM's structured_outputs and structural_tag, as sent. */
  | { readonly kind: 'structured'; readonly constraint: unknown };

export type ToolChoice =
  | { readonly kind: 'none' }
  | { readonly kind: 'auto' }
  | { readonly kind: 'required' }
  | { readonly kind: 'named'; readonly name: string };

/** One request of a client, checked and resolved: everything between the HTTP body and the engine. */
export interface GenerationCall {
  readonly kind: 'chat' | 'completion' | 'generate';
  /** As asked for; null = whatever is served. Always one of the served names. */
  readonly model: string | null;
  /** Exactly one, except for completions; each gets `sampling.n` sequences, choice index = prompt index * n + sequence. */
  readonly prompts: readonly PromptInput[];
  readonly sampling: SamplingParameters;
  /** null: whatever the context leaves; 0 only with `echo`: nothing is generated. Not yet held against the context: checkLength. */
  readonly outputTokensMax: number | null;
  readonly stop: readonly string[];
  /** The stop string stays at the end of the output. */
  readonly includeStop: boolean;
  readonly stream: boolean;
  /** A last chunk with usage and empty choices. */
  readonly includeUsage: boolean;
  /** Usage so far on each chunk. */
  readonly continuousUsage: boolean;
  /** The prompt (chat: the last message) is repeated before the output. */
  readonly echo: boolean;
  /** Alternatives per token in the endpoint's shape; 0 = only the chosen token; null = no logprobs in the response. */
  readonly logprobs: number | null;
  readonly skipSpecialTokens: boolean;
  readonly returnTokenIds: boolean;
  /** Tokens are reported as `token_id:<id>` instead of as text. */
  readonly tokensAsIds: boolean;
  /** The prompt's last so many tokens are kept; -1 = as many as the context holds; null = an over-long prompt is an error. */
  readonly truncatePromptTokens: number | null;
  readonly addSpecialTokens: boolean;
  /** Only these may be sampled; null = all. */
  readonly allowedTokenIds: Int32Array | null;
  /** Never generated. */
  readonly badWords: readonly string[];
  readonly outputFormat: OutputFormat;
  readonly toolChoice: ToolChoice;
  /** What the body says of the engine's request as such. */
  readonly requestFields: Omit<
    typeof REQUEST_DEFAULTS,
    'sampling' | 'cacheSalt' | 'tenant' | 'timeoutNs' | 'impliedOutputTokens'
  >;
  /** Not empty; null = no salt. */
  readonly cacheSalt: string | null;
  /** The client's name for its user; traces get a hash of it. */
  readonly user: string | null;
  readonly requestId: string | null;
  /** Names of fields that the endpoint does not know: ignored, as clients rely on; the gateway logs each name once. */
  readonly unknownFields: readonly string[];
}

/** What the backend honours; a request for anything else is a 400 that says so. */
export interface BackendCapabilities {
  /** response_format json_object / json_schema, structured_outputs. */
  readonly responseFormat: boolean;
  /** tool_choice auto, required or a named one. */
  readonly tools: boolean;
  readonly allowedTokenIds: boolean;
  readonly badWords: boolean;
}

export interface ServedLimits {
  /** The first is the one that responses name. */
  readonly modelNames: readonly string[];
  /** Prompt and output together, in tokens. */
  readonly modelLenMax: number;
  readonly vocabularySize: number;
  /** Alternatives per token, for output and prompt; vLLM's `--max-logprobs`, 20 there. */
  readonly logprobsMax: number;
  readonly nMax: number;
  readonly promptsMax: number;
  /** Sequences of one call: prompts * n. */
  readonly sequencesMax: number;
  /** Stop strings, and characters of each. */
  readonly stopMax: number;
  readonly stopCharactersMax: number;
  readonly stopTokenIdsMax: number;
  readonly logitBiasMax: number;
  readonly messagesMax: number;
  /** Keys of all objects of a body, and items of its lists that are not numbers. */
  readonly keysMax: number;
  /** Numbers in the lists of a body. */
  readonly numbersMax: number;
  /** See `AnswerBudget`. */
  readonly answerBytesMax: number;
  readonly promptLogprobsMax: number;
  readonly capabilities: BackendCapabilities;
}
