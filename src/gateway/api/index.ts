/** The HTTP interface's shapes: from a body to a resolved call, and from tokens to bodies and events. */
export * from './api-error.ts';
export { checkLength } from './check-length.ts';
export type * from './generation-call.ts';
export { type JsonLimits, jsonExcess, jsonText, parseJsonBody, parseJsonText } from './json-body.ts';
export { openApiDocument } from './openapi.ts';
export { parseChat } from './parse-chat.ts';
export { parseCompletion, parseGenerate } from './parse-completion.ts';
export { parseDetokenize, parseTokenize, type TokenizeCall } from './parse-tokenize.ts';
