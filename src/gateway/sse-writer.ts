import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { nextTurn } from './next-turn.ts';

const SSE_HEADERS: OutgoingHttpHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/**
 * Server-sent events on a response, one write per step. All text is ASCII (JSON with escapes). A chunk of HTTP/1.1 is framed here
 * and written to the socket at once: `ServerResponse.write` would make three writes of it and a tick to join them.
 */
export class SseWriter {
  private readonly response: ServerResponse;
  private readonly bufferBytesMax: number;
  private pending = '';
  private begun = false;
  /** Events that are made while they are written, in order; `pending` follows them. */
  private readonly slow: Iterator<string>[] = [];
  private pumping = false;
  private ending = false;
  /** Of slow events. */
  private slowCharacters = 0;

  constructor(response: ServerResponse, bufferBytesMax: number) {
    this.response = response;
    this.bufferBytesMax = bufferBytesMax;
  }

  /** Whether the status line is out: from then on errors are events. */
  get started(): boolean {
    return this.begun;
  }

  get empty(): boolean {
    return this.pending === '' && this.slow.length === 0;
  }

  add(events: string): void {
    this.pending += events;
  }

  /** Puts a comment before what is added so far. */
  addFirst(comment: string): void {
    this.pending = comment + this.pending;
  }

  /** Adds many events, which are written a slice in each turn of the event loop, no faster than the client reads. */
  addSlowly(events: Iterator<string>): void {
    if (this.pending !== '') this.slow.push([this.pending].values());
    this.pending = '';
    this.slow.push(events);
  }

  /**
   * Sends what was added. False when the client has left more than `bufferBytesMax` unread: the connection is closed then, since
   * a slow reader must not hold memory.
   */
  flush(headers: NodeJS.Dict<OutgoingHttpHeader>): boolean {
    if (this.empty) return true;
    const { response } = this;
    if (!this.begun) {
      this.begun = true;
      response.writeHead(200, { ...SSE_HEADERS, ...headers });
      response.flushHeaders();
      response.socket?.setNoDelay(true);
    }
    if (this.slow.length > 0 && !this.pumping) {
      this.pumping = true;
      void nextTurn().then(this.pump);
    }
    if (this.slow.length > 0) return this.pending.length <= this.waitingMax() || this.cutOff();
    const { pending } = this;
    this.pending = '';
    this.write(pending);
    return (response.socket ?? response).writableLength <= this.bufferBytesMax || this.cutOff();
  }

  /** What may wait behind slow events: as much more as the client has taken of these, within bounds. */
  private waitingMax(): number {
    return this.bufferBytesMax + Math.min(this.slowCharacters, WAITING_BUFFERS_MAX * this.bufferBytesMax);
  }

  private write(text: string): void {
    const { response } = this;
    const { socket } = response;
    if (socket?.destroyed === true || text === '') return;
    // Without a socket it waits for an earlier answer of the same connection.
    if (socket === null || !response.chunkedEncoding) response.write(text, 'latin1');
    else socket.write(`${text.length.toString(16)}\r\n${text}\r\n`, 'latin1');
  }

  private cutOff(): false {
    this.response.req.socket.destroy();
    return false;
  }

  /** One slice of the slow events; the next when the client has read most of it. */
  private readonly pump = (): void => {
    const { response } = this;
    if (response.destroyed || response.socket?.destroyed === true) return;
    try {
      this.writeSlice();
    } catch {
      // An answer that cannot be written is cut off: it has begun, and nothing else of the server depends on it.
      this.cutOff();
    }
  };

  private writeSlice(): void {
    const { response, slow } = this;
    let slice = '';
    while (slow.length > 0 && slice.length < SLICE_CHARACTERS) {
      const next = slow[0]!.next();
      if (next.done === true) slow.shift();
      else slice += next.value;
    }
    if (slow.length === 0) {
      this.pumping = false;
      this.write(slice + this.pending);
      this.pending = '';
      if (this.ending) response.end();
      return;
    }
    this.write(slice);
    this.slowCharacters += slice.length;
    const stream = response.socket ?? response;
    if (stream.writableLength < SLICE_CHARACTERS) void nextTurn().then(this.pump);
    else stream.once('drain', this.pump);
  }

  end(): void {
    this.ending = true;
    if (this.slow.length === 0) this.response.end();
  }
}

/** Of the configured buffer: what waits behind slow events at most. */
const WAITING_BUFFERS_MAX = 16;

/** Of slow events, in one turn: about 2 ms of work. */
const SLICE_CHARACTERS = 32_768;
