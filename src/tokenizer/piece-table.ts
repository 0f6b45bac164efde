const UTF8 = new TextEncoder();
const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const LENIENT = new TextDecoder('utf-8', { ignoreBOM: true });
const NOT_ASCII = /[\x7f-\uffff]/g;
const NO_BYTES = new Uint8Array(0);

/** What a stream needs to know of each token, made once. Index = token id. */
export class PieceTable {
  readonly size: number;
  private readonly bytes: Uint8Array[];
  private readonly special: Uint8Array;
  private readonly texts: string[];
  private readonly json: (string | null)[];

  constructor(size: number) {
    this.size = size;
    this.bytes = new Array<Uint8Array>(size).fill(NO_BYTES);
    this.special = new Uint8Array(size);
    this.texts = new Array<string>(size).fill('');
    this.json = new Array<string | null>(size).fill('');
  }

  set(id: number, bytes: Uint8Array | string, special: boolean): void {
    const raw = typeof bytes === 'string' ? UTF8.encode(bytes) : bytes;
    this.bytes[id] = raw;
    this.special[id] = special ? 1 : 0;
    this.texts[id] = LENIENT.decode(raw);
    this.json[id] = special ? '' : jsonOf(raw);
  }

  pieceBytes(id: number): Uint8Array {
    return this.bytes[id] ?? NO_BYTES;
  }

  isSpecial(id: number): boolean {
    return this.special[id] === 1;
  }

  pieceText(id: number): string {
    return this.texts[id] ?? '';
  }

  jsonPiece(id: number): string | null {
    const piece = this.json[id];
    return piece === undefined ? '' : piece;
  }

  decode(ids: ArrayLike<number>, skipSpecialTokens: boolean, stripsLeadingSpace: boolean): string {
    let length = 0;
    for (let i = 0; i < ids.length; i++) length += this.pieceBytes(ids[i]!).length;
    const all = new Uint8Array(length);
    let at = 0;
    for (let i = 0; i < ids.length; i++) {
      if (skipSpecialTokens && this.isSpecial(ids[i]!)) continue;
      const piece = this.pieceBytes(ids[i]!);
      all.set(piece, at);
      at += piece.length;
    }
    const text = LENIENT.decode(all.subarray(0, at));
    return stripsLeadingSpace && text.startsWith(' ') ? text.slice(1) : text;
  }
}

function jsonOf(bytes: Uint8Array): string | null {
  let text: string;
  try {
    text = STRICT.decode(bytes);
  } catch {
    return null;
  }
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(NOT_ASCII, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
