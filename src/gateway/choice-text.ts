import { IncrementalDecoder, type Tokenizer } from '../tokenizer/index.ts';
import { jsonContent } from './answer/answer-shape.ts';

/**
 * The text of one sequence as it is released to the client. Text that may be the beginning of a stop string is held back, so
 * that nothing is ever streamed past one.
 */
export class ChoiceText {
  /** Tokens that belong to the answer: those of the engine, or up to the one that completed a stop string. */
  tokens = 0;
  /** The stop string that was found; null so far. */
  stopString: string | null = null;
  private readonly decoder: IncrementalDecoder;
  private readonly stop: readonly string[];
  private readonly includeStop: boolean;
  /** Stop strings count from the token after these on, as in vLLM. */
  private readonly tokensMin: number;
  private held = '';
  private readonly tokenizer: Tokenizer;
  private readonly skipSpecialTokens: boolean;

  constructor(
    tokenizer: Tokenizer,
    skipSpecialTokens: boolean,
    stop: readonly string[],
    includeStop: boolean,
    tokensMin: number,
  ) {
    this.tokenizer = tokenizer;
    this.skipSpecialTokens = skipSpecialTokens;
    this.decoder = new IncrementalDecoder(tokenizer, skipSpecialTokens);
    this.stop = stop;
    this.includeStop = includeStop;
    this.tokensMin = tokensMin;
  }

  /** Takes a token in and returns the text that may be released. */
  push(id: number): string {
    this.tokens++;
    const text = this.decoder.push(id);
    if (this.stop.length === 0 || this.tokens <= this.tokensMin) return text;
    this.held += text;
    return this.found() ?? this.release();
  }

  /**
   * The same as the content of a JSON string in ASCII. The way of nearly every streamed token: between two characters, and
   * without stop strings, a token's text stands in the tokenizer's table.
   */
  pushJson(id: number): string {
    if (this.tokens > 0 && this.stop.length === 0 && this.skipSpecialTokens && this.decoder.between) {
      const piece = this.tokenizer.jsonPiece(id);
      if (piece !== null) {
        this.tokens++;
        return piece;
      }
    }
    return jsonContent(this.push(id));
  }

  /** What is left when the sequence has ended by itself. */
  flush(): string {
    if (this.stopString !== null) return '';
    const rest = this.decoder.flush();
    if (this.stop.length === 0) return rest;
    this.held += rest;
    const found = this.found();
    if (found !== null) return found;
    const all = this.held;
    this.held = '';
    return all;
  }

  /** Text up to the first stop string, or null. */
  private found(): string | null {
    let first = -1;
    let which = '';
    for (const stop of this.stop) {
      const at = this.held.indexOf(stop);
      if (at < 0 || (first >= 0 && at >= first)) continue;
      first = at;
      which = stop;
    }
    if (first < 0) return null;
    this.stopString = which;
    const text = this.held.slice(0, first + (this.includeStop ? which.length : 0));
    this.held = '';
    return text;
  }

  /** All but the longest end that could become a stop string. */
  private release(): string {
    let keep = 0;
    for (const stop of this.stop) {
      for (let length = Math.min(stop.length - 1, this.held.length); length > keep; length--) {
        if (stop.startsWith(this.held.slice(this.held.length - length))) {
          keep = length;
          break;
        }
      }
    }
    const text = this.held.slice(0, this.held.length - keep);
    this.held = this.held.slice(this.held.length - keep);
    return text;
  }
}
