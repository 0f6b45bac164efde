import { connect, type Socket } from 'node:net';

/** What a connection tells; one object for all of them, so that reading stays cheap. */
export interface ConnectionListener {
  /** Bytes of an answer's body arrived; `events` of them ended in it. */
  read(connection: RawConnection, bytes: Buffer, from: number, to: number, events: number): void;
  /** An answer is complete. */
  answered(connection: RawConnection): void;
  closed(connection: RawConnection, error: Error | null): void;
}

/**
 * Where every connection reads into: libuv fills it and the callback empties it before anybody else reads. What lies behind
 * the bytes of a read is old; line feeds in the beginning let a search that runs past the end stop at once.
 */
const BUFFER = Buffer.allocUnsafeSlow(64 * 1024).fill('\n');
const EVENT_END = Buffer.from('\n\n');
const HEAD_END = '\r\n\r\n';
const LINE_FEED = 10;
/** Ends a chunked body: the last chunk, empty, with no trailers (RFC 9112, 7.1). */
const LAST_CHUNK = '\r\n0\r\n\r\n';

/**
 * As much of an HTTP/1.1 client as a load generator needs, far cheaper than a server: one request at a time, written from bytes
 * made before; the head parsed, events of a chunked body counted by their ends, a body with a length counted off.
 */
export class RawConnection {
  readonly index: number;
  /** Of the answer that is arriving, or of the last one. */
  status = 0;
  events = 0;
  bodyBytes = 0;
  /** The body, kept only when the status is not 200. */
  errorText = '';
  private readonly listener: ConnectionListener;
  private readonly socket: Socket;
  private head = '';
  private inHead = true;
  /** Bytes of the body to come; -1: chunked. */
  private bodyLeft = 0;
  private lastByte = 0;
  private tail = '';

  constructor(index: number, port: number, listener: ConnectionListener) {
    this.index = index;
    this.listener = listener;
    let failure: Error | null = null;
    const onread = {
      buffer: BUFFER,
      callback: (count: number) => {
        this.receive(count);
        return true;
      },
    };
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true, onread });
    this.socket.on('error', (error) => {
      failure = error;
    });
    this.socket.on('close', () => listener.closed(this, failure));
  }

  /** Not before the last answer is complete. */
  send(request: Buffer): void {
    this.inHead = true;
    this.head = '';
    this.events = 0;
    this.bodyBytes = 0;
    this.errorText = '';
    this.socket.write(request);
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private receive(count: number): void {
    let from = 0;
    if (this.inHead) {
      const before = this.head.length;
      this.head += BUFFER.toString('latin1', 0, count);
      const end = this.head.indexOf(HEAD_END);
      if (end < 0) return;
      this.parseHead(this.head.slice(0, end));
      from = end + HEAD_END.length - before;
    }
    if (this.bodyLeft < 0) this.chunked(from, count);
    else this.counted(from, count);
  }

  private parseHead(head: string): void {
    this.inHead = false;
    this.head = '';
    this.status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    this.bodyLeft = length === null ? -1 : Number(length[1]);
    this.lastByte = 0;
    this.tail = '\r\n';
  }

  private chunked(from: number, to: number): void {
    if (from === to) return;
    let events = this.lastByte === LINE_FEED && BUFFER[from] === LINE_FEED ? 1 : 0;
    let at = BUFFER.indexOf(EVENT_END, from);
    while (at >= 0 && at < to - 1) {
      events++;
      at = BUFFER.indexOf(EVENT_END, at + 2);
    }
    this.lastByte = BUFFER[to - 1]!;
    this.take(from, to, events);
    // Only the end of what was read can end the answer: the next request is not sent before.
    const last = BUFFER.toString('latin1', Math.max(from, to - LAST_CHUNK.length), to);
    this.tail = last.length === LAST_CHUNK.length ? last : (this.tail + last).slice(-LAST_CHUNK.length);
    if (this.tail === LAST_CHUNK) this.listener.answered(this);
  }

  private counted(from: number, to: number): void {
    if (to > from) this.take(from, to, 0);
    this.bodyLeft -= to - from;
    if (this.bodyLeft <= 0) this.listener.answered(this);
  }

  private take(from: number, to: number, events: number): void {
    this.events += events;
    this.bodyBytes += to - from;
    if (this.status !== 200 && this.errorText.length < 1000) this.errorText += BUFFER.toString('latin1', from, to);
    this.listener.read(this, BUFFER, from, to, events);
  }
}

/** A POST of a JSON body, as bytes. */
export function jsonRequest(path: string, body: object, headers: Readonly<Record<string, string>> = {}): Buffer {
  const text = JSON.stringify(body);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n${lines.join('')}`;
  return Buffer.from(`${head}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}
