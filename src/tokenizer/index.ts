export { ByteTokenizer } from './byte-tokenizer.ts';
export { printedCharacters } from './chat-template.ts';
export { IncrementalDecoder } from './incremental-decoder.ts';
export { ModelTokenizer, type TokenizerJson } from './model-tokenizer.ts';
export { ReadableText } from './readable-text.ts';
export {
  ChatTemplateError,
  type ChatTemplateOptions,
  type TemplateMessage,
  type Tokenizer,
  TokenizerBusyError,
  TokenizerError,
} from './tokenizer.ts';
