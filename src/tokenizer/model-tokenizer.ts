import { Tokenizer as HfTokenizer } from '@huggingface/tokenizers';
import { ChatTemplate, type SpecialTokens } from './chat-template.ts';
import { PieceTable } from './piece-table.ts';
import {
  ChatTemplateError,
  type ChatTemplateOptions,
  type TemplateMessage,
  type Tokenizer,
  TokenizerError,
} from './tokenizer.ts';

/** The files of a model folder that a tokenizer is made of, parsed. */
export interface TokenizerFiles {
  /** For messages. */
  readonly folder: string;
  readonly name: string;
  readonly tokenizer: TokenizerJson;
  readonly config: Readonly<Record<string, unknown>>;
  /** Of chat_template.jinja; else it is in the configuration, or there is none. */
  readonly template: string | null;
  /** From generation_config.json or config.json; empty when neither says. */
  readonly eosTokenIds: readonly number[];
}

export interface TokenizerJson {
  readonly model: {
    readonly type?: string;
    readonly vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[];
  };
  readonly added_tokens?: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
  readonly decoder?: DecoderJson | null;
}

interface DecoderJson {
  readonly type: string;
  readonly decoders?: readonly DecoderJson[];
  readonly content?: string;
  readonly start?: number;
  readonly prepend_scheme?: string;
  readonly add_prefix_space?: boolean;
}

/** A model's own tokenizer: Hugging Face's library makes the ids; pieces and decoding come from its vocabulary. */
export class ModelTokenizer implements Tokenizer {
  readonly name: string;
  readonly vocabularySize: number;
  readonly eosTokenIds: readonly number[];
  readonly hasChatTemplate: boolean;
  readonly stripsLeadingSpace: boolean;
  private readonly library: HfTokenizer;
  private readonly pieces: PieceTable;
  private readonly template: ChatTemplate | null;

  /** Throws TokenizerError. */
  constructor(files: TokenizerFiles) {
    this.name = files.name;
    try {
      this.library = new HfTokenizer(files.tokenizer, files.config);
    } catch (error) {
      throw new TokenizerError(
        `${files.folder}/tokenizer.json: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    const decoders = flat(files.tokenizer.decoder ?? null);
    this.stripsLeadingSpace = decoders.some(
      (it) =>
        (it.type === 'Strip' && it.content === ' ' && (it.start ?? 0) > 0) ||
        (it.type === 'Metaspace' && it.prepend_scheme !== 'never'),
    );
    this.pieces = piecesOf(
      files.tokenizer,
      decoders.some((it) => it.type === 'ByteLevel'),
    );
    this.vocabularySize = this.pieces.size;
    const special = specialTokens(files.config);
    this.eosTokenIds = files.eosTokenIds.length > 0 ? files.eosTokenIds : eosOf(files, special);
    const source = files.template ?? templateOf(files.config);
    this.hasChatTemplate = source !== null;
    this.template = source === null ? null : new ChatTemplate(source, special, files.folder);
  }

  encode(text: string, addSpecialTokens: boolean): Int32Array {
    return Int32Array.from(this.library.encode(text, { add_special_tokens: addSpecialTokens }).ids);
  }

  decode(ids: ArrayLike<number>, skipSpecialTokens: boolean): string {
    return this.pieces.decode(ids, skipSpecialTokens, this.stripsLeadingSpace);
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
    if (this.template === null) throw new ChatTemplateError('the model has no chat template');
    return this.template.render(messages, options);
  }
}

function flat(decoder: DecoderJson | null): readonly DecoderJson[] {
  if (decoder === null) return [];
  return decoder.type === 'Sequence' ? (decoder.decoders ?? []).flatMap(flat) : [decoder];
}

function piecesOf(json: TokenizerJson, byteLevel: boolean): PieceTable {
  const { vocab } = json.model;
  const entries: (readonly [string, number])[] = Array.isArray(vocab)
    ? (vocab as readonly (readonly [string, number])[]).map(([token], id) => [token, id])
    : Object.entries(vocab as Readonly<Record<string, number>>);
  const added = json.added_tokens ?? [];
  let size = 0;
  for (const [, id] of entries) size = Math.max(size, id + 1);
  for (const { id } of added) size = Math.max(size, id + 1);
  const pieces = new PieceTable(size);
  for (const [token, id] of entries) pieces.set(id, byteLevel ? byteLevelBytes(token) : metaspaceBytes(token), false);
  for (const { id, content, special } of added) pieces.set(id, content, special);
  return pieces;
}

const UTF8 = new TextEncoder();
const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** SentencePiece vocabularies write a space as U+2581 and a single byte as <0xNN>. */
function metaspaceBytes(token: string): Uint8Array {
  const byte = BYTE_TOKEN.exec(token);
  return byte === null ? UTF8.encode(token.replaceAll('\u2581', ' ')) : Uint8Array.of(Number.parseInt(byte[1]!, 16));
}

/** GPT-2's printable stand-ins for bytes (openai/gpt-2, src/encoder.py, bytes_to_unicode), inverted. */
const BYTE_OF = byteLevelAlphabet();

function byteLevelAlphabet(): ReadonlyMap<string, number> {
  const map = new Map<string, number>();
  let moved = 0;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    map.set(String.fromCharCode(printable ? byte : 256 + moved++), byte);
  }
  return map;
}

function byteLevelBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF.get(character);
    if (byte === undefined) bytes.push(...UTF8.encode(character));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Tokens of the configuration: plain strings, or objects with `content`. */
function specialTokens(config: Readonly<Record<string, unknown>>): SpecialTokens {
  const tokens: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    if (!key.endsWith('_token')) continue;
    if (typeof value === 'string') tokens[key] = value;
    else if (typeof value === 'object' && value !== null && 'content' in value && typeof value.content === 'string')
      tokens[key] = value.content;
  }
  return tokens;
}

function eosOf(files: TokenizerFiles, special: SpecialTokens): readonly number[] {
  const eos = special['eos_token'];
  const found = (files.tokenizer.added_tokens ?? []).find(({ content }) => content === eos);
  if (found === undefined)
    throw new TokenizerError(
      `${files.folder}: no end-of-sequence token in generation_config.json, config.json or tokenizer_config.json`,
    );
  return [found.id];
}

/** A template, or a list of named ones of which `default` counts. */
function templateOf(config: Readonly<Record<string, unknown>>): string | null {
  const given = config['chat_template'];
  if (typeof given === 'string') return given;
  if (!Array.isArray(given)) return null;
  const named = given as readonly { name?: unknown; template?: unknown }[];
  const chosen = named.find(({ name }) => name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : null;
}
