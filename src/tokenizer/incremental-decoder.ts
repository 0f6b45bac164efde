import type { Tokenizer } from './tokenizer.ts';

/** Text from tokens as they come: all pushes and the flush together are what `decode` gives for all ids. */
export class IncrementalDecoder {
  private readonly tokenizer: Tokenizer;
  private readonly skipSpecialTokens: boolean;
  private readonly utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Bytes that the character begun still wants. */
  private wanted = 0;
  private atStart: boolean;

  constructor(tokenizer: Tokenizer, skipSpecialTokens: boolean) {
    this.tokenizer = tokenizer;
    this.skipSpecialTokens = skipSpecialTokens;
    this.atStart = tokenizer.stripsLeadingSpace;
  }

  /** No character has been begun, and no space waits to be stripped: a token's own text follows as it is. */
  get between(): boolean {
    return this.wanted === 0 && !this.atStart;
  }

  push(id: number): string {
    if (this.skipSpecialTokens && this.tokenizer.isSpecial(id)) return '';
    const bytes = this.tokenizer.pieceBytes(id);
    for (const byte of bytes) {
      if (this.wanted > 0 && byte >> 6 === 0b10) this.wanted--;
      else this.wanted = byte >= 0xf5 ? 0 : byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc2 ? 1 : 0;
    }
    return this.stripped(this.utf8.decode(bytes, { stream: true }));
  }

  /** What is left of a character that never became whole. */
  flush(): string {
    return this.stripped(this.utf8.decode());
  }

  private stripped(text: string): string {
    if (!this.atStart || text === '') return text;
    this.atStart = false;
    return text.startsWith(' ') ? text.slice(1) : text;
  }
}
