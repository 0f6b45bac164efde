/** A message as chat templates read it. */
export interface TemplateMessage {
  readonly role: string;
  readonly content: string;
}

/** What a chat template is given beside the messages. */
export interface ChatTemplateOptions {
  readonly addGenerationPrompt: boolean;
  /** The last message is the beginning of the answer: the text ends with it. */
  readonly continueFinalMessage: boolean;
  readonly tools: readonly unknown[] | null;
  readonly documents: readonly unknown[] | null;
  /** Further variables of the template, by name. */
  readonly templateVariables: Readonly<Record<string, unknown>>;
}

/** Text to token ids and back, with what a stream needs of each token made at start-up. */
export interface Tokenizer {
  readonly name: string;
  readonly vocabularySize: number;
  /** The first is written where a simulated model ends. */
  readonly eosTokenIds: readonly number[];
  readonly hasChatTemplate: boolean;
  /** Whether decoded text loses one space at its very beginning (SentencePiece vocabularies). */
  readonly stripsLeadingSpace: boolean;
  encode(text: string, addSpecialTokens: boolean): Int32Array;
  decode(ids: ArrayLike<number>, skipSpecialTokens: boolean): string;
  /** The token's bytes inside running text; empty for an unknown id. */
  pieceBytes(id: number): Uint8Array;
  isSpecial(id: number): boolean;
  /** The token as text; bytes that are no whole character as U+FFFD. */
  pieceText(id: number): string;
  /** The token as content of an ASCII JSON string; '' for special tokens; null when its bytes alone are no whole characters. */
  jsonPiece(id: number): string | null;
  /** The messages as the model's prompt. Throws ChatTemplateError. */
  chatPrompt(messages: readonly TemplateMessage[], options: ChatTemplateOptions): string;
}

/** A folder that holds no usable tokenizer: the message names the file and what is wrong. */
export class TokenizerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TokenizerError';
  }
}

/** The chat template refuses the messages; the message is the template's own. */
export class ChatTemplateError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ChatTemplateError';
  }
}

/** So many texts wait for a tokenizer thread that no more are taken. */
export class TokenizerBusyError extends Error {
  constructor(queueMax: number) {
    super(`${queueMax} texts wait to be tokenised`);
    this.name = 'TokenizerBusyError';
  }
}
