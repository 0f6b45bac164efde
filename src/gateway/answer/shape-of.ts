import type { Tokenizer } from '../../tokenizer/index.ts';
import type { GenerationCall } from '../api/index.ts';
import type { AnswerIdentity, AnswerShape } from './answer-shape.ts';
import { ChatShape } from './chat-shape.ts';
import { CompletionShape } from './completion-shape.ts';
import { GenerateShape } from './generate-shape.ts';
import { TokenNames } from './token-logprobs.ts';

export function shapeOf(call: GenerationCall, identity: AnswerIdentity, tokenizer: Tokenizer): AnswerShape {
  const names = new TokenNames(tokenizer, call.tokensAsIds);
  switch (call.kind) {
    case 'chat':
      return new ChatShape(identity, names);
    case 'completion':
      return new CompletionShape(identity, names);
    case 'generate':
      return new GenerateShape(identity, names);
  }
}
