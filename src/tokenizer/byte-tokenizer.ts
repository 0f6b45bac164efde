import { ChatTemplate } from './chat-template.ts';
import { PieceTable } from './piece-table.ts';
import type { ChatTemplateOptions, TemplateMessage, Tokenizer } from './tokenizer.ts';

const SPECIAL = ['<|begin_of_text|>', '<|end_of_text|>', '<|im_start|>', '<|im_end|>'] as const;
const FIRST_SPECIAL = 256;
const EOS = FIRST_SPECIAL + SPECIAL.indexOf('<|im_end|>');
const SPLIT = /(<\|(?:begin_of_text|end_of_text|im_start|im_end)\|>)/;

/** ChatML, as openai/openai-python's chatml.md introduced it. */
const TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** A token per byte of UTF-8 (ids 0 .. 255), then four special tokens: what serves when there is no model folder. */
export class ByteTokenizer implements Tokenizer {
  readonly name = 'bytes';
  readonly vocabularySize = FIRST_SPECIAL + SPECIAL.length;
  readonly eosTokenIds: readonly number[] = [EOS, EOS - 2];
  readonly hasChatTemplate = true;
  readonly stripsLeadingSpace = false;
  private readonly pieces = new PieceTable(FIRST_SPECIAL + SPECIAL.length);
  private readonly template = new ChatTemplate(TEMPLATE, {}, 'built-in tokenizer');
  private readonly utf8 = new TextEncoder();

  constructor() {
    for (let byte = 0; byte < FIRST_SPECIAL; byte++) this.pieces.set(byte, Uint8Array.of(byte), false);
    for (const [i, text] of SPECIAL.entries()) this.pieces.set(FIRST_SPECIAL + i, text, true);
  }

  encode(text: string): Int32Array {
    const parts = text.includes('<|') ? text.split(SPLIT) : [text];
    if (parts.length === 1) return Int32Array.from(this.utf8.encode(text));
    const ids: number[] = [];
    for (const part of parts) {
      const special = SPECIAL.indexOf(part as (typeof SPECIAL)[number]);
      if (special >= 0) ids.push(FIRST_SPECIAL + special);
      else for (const byte of this.utf8.encode(part)) ids.push(byte);
    }
    return Int32Array.from(ids);
  }

  decode(ids: ArrayLike<number>, skipSpecialTokens: boolean): string {
    return this.pieces.decode(ids, skipSpecialTokens, false);
  }

  pieceBytes(id: number): Uint8Array {
    return this.pieces.pieceBytes(id);
  }

  isSpecial(id: number): boolean {
    return this.pieces.isSpecial(id);
  }

  pieceText(id: number): string {
    return this.pieces.pieceText(id);
  }

  jsonPiece(id: number): string | null {
    return this.pieces.jsonPiece(id);
  }

  chatPrompt(messages: readonly TemplateMessage[], options: ChatTemplateOptions): string {
    return this.template.render(messages, options);
  }
}
