import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { IncrementalDecoder, type Tokenizer } from '../../tokenizer/index.ts';
import { nextTurn } from '../next-turn.ts';

/** A list in a JSON answer whose items are made when they are written; asked for each once, in order. */
export class LazyList<T> {
  readonly length: number;
  private readonly makeItem: () => (index: number) => T;

  /** `makeItem` is called at the beginning of every pass over the list. */
  constructor(length: number, makeItem: () => (index: number) => T) {
    this.length = length;
    this.makeItem = makeItem;
  }

  *pieces(): Generator<string> {
    const item = this.makeItem();
    let piece = '[';
    for (let i = 0; i < this.length; i++) {
      piece += i === 0 ? JSON.stringify(item(i)) : `,${JSON.stringify(item(i))}`;
      if (piece.length < PIECE_CHARACTERS) continue;
      yield piece;
      piece = '';
    }
    yield `${piece}]`;
  }

  /** For answers that are small enough to be written at once. */
  toJSON(): T[] {
    const item = this.makeItem();
    return Array.from({ length: this.length }, (_, i) => item(i));
  }
}

/** The text of tokens, decoded when it is written, and `rest` behind it. */
export class LazyText {
  private readonly ids: Int32Array;
  private readonly tokenizer: Tokenizer;
  private readonly skipSpecialTokens: boolean;
  private readonly rest: string;

  constructor(ids: Int32Array, tokenizer: Tokenizer, skipSpecialTokens: boolean, rest = '') {
    this.ids = ids;
    this.tokenizer = tokenizer;
    this.skipSpecialTokens = skipSpecialTokens;
    this.rest = rest;
  }

  *texts(): Generator<string> {
    const decoder = new IncrementalDecoder(this.tokenizer, this.skipSpecialTokens);
    let text = '';
    for (const id of this.ids) {
      text += decoder.push(id);
      if (text.length < PIECE_CHARACTERS) continue;
      yield text;
      text = '';
    }
    yield text + decoder.flush() + this.rest;
  }

  *pieces(): Generator<string> {
    yield '"';
    for (const text of this.texts()) yield JSON.stringify(text).slice(1, -1);
    yield '"';
  }

  toJSON(): string {
    return [...this.texts()].join('');
  }
}

/** About what a list or a text gives at a time. */
const PIECE_CHARACTERS = 4096;
/** About what one turn of the event loop writes of an answer: 1 to 2 ms of work with log-probabilities. */
const TURN_CHARACTERS = 32_768;
/** Answers with fewer items (tokens, alternatives) than this are written at once: about 1 ms. */
const ITEMS_AT_ONCE = 2048;

/** JSON of a value, in pieces: lists and texts that are lazy come little by little. */
export function* jsonPieces(value: unknown): Generator<string> {
  if (value instanceof LazyList || value instanceof LazyText) {
    yield* value.pieces();
  } else if (Array.isArray(value) && typeof value[0] === 'object') {
    let mark = '[';
    for (const item of value) {
      yield mark;
      yield* jsonPieces(item);
      mark = ',';
    }
    yield value.length === 0 ? '[]' : ']';
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    let mark = '{';
    for (const [key, member] of Object.entries(value)) {
      if (member === undefined) continue;
      yield `${mark}${JSON.stringify(key)}:`;
      yield* jsonPieces(member);
      mark = ',';
    }
    yield mark === '{' ? '{}' : '}';
  } else {
    yield JSON.stringify(value);
  }
}

/**
 * Sends a JSON answer. One of many items is written in slices, a turn of the event loop each, no faster than its client reads: other
 * connections have their turns in between, and no more than a slice of it waits in memory as text.
 */
export function sendJson(reply: FastifyReply, body: object, items: number): FastifyReply {
  if (items < ITEMS_AT_ONCE) return reply.send(body);
  const slices = Readable.from(turns(jsonPieces(body)), { objectMode: false, highWaterMark: TURN_CHARACTERS });
  return reply.type('application/json; charset=utf-8').send(slices);
}

/** Joins pieces to what one turn of the event loop writes, and waits for the next turn behind each. */
async function* turns(pieces: Generator<string>): AsyncGenerator<string> {
  let text = '';
  for (const piece of pieces) {
    text += piece;
    if (text.length < TURN_CHARACTERS) continue;
    yield text;
    text = '';
    await nextTurn();
  }
  yield text;
}
