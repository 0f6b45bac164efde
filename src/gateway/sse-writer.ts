import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http';

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

  constructor(response: ServerResponse, bufferBytesMax: number) {
    this.response = response;
    this.bufferBytesMax = bufferBytesMax;
  }

  /** Whether the status line is out: from then on errors are events. */
  get started(): boolean {
    return this.begun;
  }

  get empty(): boolean {
    return this.pending === '';
  }

  add(events: string): void {
    this.pending += events;
  }

  /** Puts a comment before what is added so far. */
  addFirst(comment: string): void {
    this.pending = comment + this.pending;
  }

  /**
   * Sends what was added. False when the client has left more than `bufferBytesMax` unread: the connection is closed then, since
   * a slow reader must not hold memory.
   */
  flush(headers: NodeJS.Dict<OutgoingHttpHeader>): boolean {
    if (this.pending === '') return true;
    const { response } = this;
    if (!this.begun) {
      this.begun = true;
      response.writeHead(200, { ...SSE_HEADERS, ...headers });
      response.flushHeaders();
      response.socket?.setNoDelay(true);
    }
    const { socket } = response;
    const { pending } = this;
    this.pending = '';
    if (socket?.destroyed === true) return true;
    // Without a socket it waits for an earlier answer of the same connection.
    if (socket === null || !response.chunkedEncoding) response.write(pending, 'latin1');
    else socket.write(`${pending.length.toString(16)}\r\n${pending}\r\n`, 'latin1');
    if ((socket ?? response).writableLength <= this.bufferBytesMax) return true;
    response.req.socket.destroy();
    return false;
  }

  end(): void {
    this.response.end();
  }
}
