/**
 * Bytes that are no well-formed HTTP request: framing that two servers could read differently (request smuggling), and plain
 * garbage. Shapes from RFC 9112 sections 5, 6 and 7.1 and the published families of smuggling (CL.TE, TE.CL, TE.TE, CL.CL).
 */
export interface BadSocket {
  readonly name: string;
  /** Sent as they are; after them the client half-closes only if `end`. */
  readonly bytes: Buffer;
  /** Statuses that may be answered, before the connection is closed. */
  readonly statuses: readonly number[];
  readonly end: boolean;
}

const HOST = 'Host: localhost\r\n';
const TYPE = 'Content-Type: application/json\r\n';
/** What a smuggler wants answered as a second request. */
const SMUGGLED = 'GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n';
const BODY = '{"prompt":"hi","max_tokens":1}';

interface Options {
  readonly statuses?: readonly number[];
  readonly end?: boolean;
}

function raw(name: string, text: string, { statuses = [400], end = false }: Options = {}): BadSocket {
  return { name, bytes: Buffer.from(text, 'latin1'), statuses, end };
}

/** A POST with these header lines and body. */
function post(name: string, headers: string, body: string, options: Options = {}): BadSocket {
  return raw(name, `POST /v1/completions HTTP/1.1\r\n${HOST}${TYPE}${headers}\r\n${body}`, options);
}

function get(name: string, lines: string, options: Options = {}): BadSocket {
  return raw(name, `GET /v1/models HTTP/1.1\r\n${lines}\r\n`, options);
}

/** Two ways to say how long the body is, or one that is no length. */
const FRAMING: readonly BadSocket[] = [
  post('CL.TE', `Content-Length: 6\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${SMUGGLED}`),
  post('TE.CL', `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n`, `0\r\n\r\n${SMUGGLED}`),
  post(
    'a chunked body after a length of 0',
    `Content-Length: 0\r\nTransfer-Encoding: chunked\r\n`,
    `0\r\n\r\n${SMUGGLED}`,
  ),
  post('CL.CL that differ', `Content-Length: 0\r\nContent-Length: ${SMUGGLED.length}\r\n`, SMUGGLED),
  post('CL.CL that agree', `Content-Length: ${BODY.length}\r\nContent-Length: ${BODY.length}\r\n`, BODY),
  post('two lengths in one line', `Content-Length: 5, 5\r\n`, '{"a":'),
  post('two lengths with a space', `Content-Length: 5 6\r\n`, '{"a":1'),
  post('a signed length', `Content-Length: +5\r\n`, '{"a":'),
  post('a negative length', `Content-Length: -1\r\n`, BODY),
  post('a hexadecimal length', `Content-Length: 0x1e\r\n`, BODY),
  post('a length in words', `Content-Length: many\r\n`, BODY),
  post('an empty length', `Content-Length: \r\n`, BODY),
  post('a fractional length', `Content-Length: 5.0\r\n`, '{"a":'),
  post('a length past 64 bits', `Content-Length: 99999999999999999999999\r\n`, BODY),
  post('a length with a NUL', `Content-Length: 5\0\r\n`, '{"a":'),
  post('a space before the colon of the length', `Content-Length : 5\r\n`, '{"a":'),
  post('a space before the colon of the encoding', `Transfer-Encoding : chunked\r\n`, `0\r\n\r\n`),
  post('an encoding that is not chunked', `Transfer-Encoding: xchunked\r\n`, `0\r\n\r\n${SMUGGLED}`),
  post('identity after chunked', `Transfer-Encoding: chunked, identity\r\n`, `0\r\n\r\n${SMUGGLED}`),
  post('chunked is not last', `Transfer-Encoding: chunked, gzip\r\n`, `0\r\n\r\n${SMUGGLED}`),
  post('an encoding in quotes', `Transfer-Encoding: "chunked"\r\n`, `0\r\n\r\n${SMUGGLED}`),
  post('an encoding with a vertical tab', `Transfer-Encoding: \x0bchunked\r\n`, `0\r\n\r\n${SMUGGLED}`),
  post(
    'TE.TE with a length between',
    `Transfer-Encoding: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n`,
    `0\r\n\r\n`,
  ),
  post('a folded encoding', `Transfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n`, `0\r\n\r\n`),
];

const CHUNKS: readonly BadSocket[] = [
  ['a chunk size in words', 'zz\r\nabc\r\n0\r\n\r\n'],
  ['a negative chunk size', '-1\r\nabc\r\n0\r\n\r\n'],
  ['a signed chunk size', '+3\r\nabc\r\n0\r\n\r\n'],
  ['a chunk size with 0x', '0x3\r\nabc\r\n0\r\n\r\n'],
  ['an empty chunk size', '\r\nabc\r\n0\r\n\r\n'],
  ['a chunk size past 64 bits', 'fffffffffffffffff\r\nabc\r\n0\r\n\r\n'],
  ['a chunk longer than its size', '2\r\nabc\r\n0\r\n\r\n'],
  ['a chunk size that ends by a bare LF', '3\nabc\r\n0\r\n\r\n'],
  ['a chunk that ends by a bare CR', '3\r\nabc\r0\r\n\r\n'],
  ['a space before the chunk size', ' 3\r\nabc\r\n0\r\n\r\n'],
  ['a NUL in the chunk size', '3\0\r\nabc\r\n0\r\n\r\n'],
].map(([name, body]) => post(name!, 'Transfer-Encoding: chunked\r\n', body!));

const HEADERS: readonly BadSocket[] = [
  get('a NUL in a header', `${HOST}X-A: a\0b\r\n`),
  get('a NUL in a name', `${HOST}X\0A: a\r\n`),
  get('a bare CR in a header', `${HOST}X-A: a\rX-B: b\r\n`),
  get('a control character in a name', `${HOST}X\x01A: a\r\n`),
  get('a folded header', `${HOST}X-A: a\r\n b\r\n`),
  get('a first header line that is folded', ` X-A: a\r\n${HOST}`),
  get('a space in a name', `${HOST}X A: a\r\n`),
  get('an empty name', `${HOST}: a\r\n`),
  get('a line without a colon', `${HOST}nonsense\r\n`),
  get('a name in another alphabet', `${HOST}X-\xe9: a\r\n`),
  get('no host', ''),
  get(
    'more headers than allowed',
    `${HOST}${Array.from({ length: 400 }, (_none, i) => `X-${i}: ${'a'.repeat(100)}\r\n`).join('')}`,
    {
      statuses: [431],
    },
  ),
  get('a header longer than allowed', `${HOST}X-A: ${'a'.repeat(100_000)}\r\n`, { statuses: [431] }),
  get('an expectation that nobody knows', `${HOST}Expect: tea\r\nConnection: close\r\n`, {
    statuses: [417],
  }),
];

const LINES: readonly BadSocket[] = [
  // Node's parser reads the next two as requests for a path that does not exist, the first without a key.
  raw('HTTP/0.9', 'GET /\r\n\r\n', { statuses: [400, 401, 404] }),
  raw('a version that is none', `GET / HTTP/9.9\r\n${HOST}\r\n`),
  raw('a version in words', `GET / HTTP/one\r\n${HOST}\r\n`),
  raw('another protocol', `GET / RTSP/1.0\r\n${HOST}\r\n`, { statuses: [400, 404] }),
  raw('a lower-case method', `get / HTTP/1.1\r\n${HOST}\r\n`),
  raw('an unknown method', `BREW / HTTP/1.1\r\n${HOST}\r\n`),
  raw('a method with a NUL', `G\0ET / HTTP/1.1\r\n${HOST}\r\n`),
  raw('no path', `GET HTTP/1.1\r\n${HOST}\r\n`),
  raw('a path with a NUL', `GET /v1/mod\0els HTTP/1.1\r\n${HOST}\r\n`),
  raw('a path with a space', `GET /v1/ models HTTP/1.1\r\n${HOST}\r\n`),
  raw('a request line in the middle', `POST / HTTP/1.1\r\nGET / HTTP/1.1\r\n${HOST}\r\n`),
  raw('lines that end by LF alone', 'GET / HTTP/1.1\nHost: localhost\n\n'),
  raw('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  raw('a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  raw('the greeting of SSH', 'SSH-2.0-OpenSSH_9.6\r\n'),
  raw('random bytes', '\x8f\x00\xff\x13\x37\xde\xad\xbe\xef\r\n\r\n'),
  raw('a very long method', `${'A'.repeat(100_000)} / HTTP/1.1\r\n${HOST}\r\n`),
  raw('a tunnel', `CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n`, { statuses: [405] }),
];

const HALF: readonly BadSocket[] = [
  raw('half a request line', 'GET /v1/mod', { end: true }),
  raw('half a header', 'GET /v1/models HTTP/1.1\r\nHost: loc', { end: true }),
  post('half a body', 'Content-Length: 100\r\n', '{"prompt":', { end: true }),
  post('half a chunk', 'Transfer-Encoding: chunked\r\n', 'ff\r\n{"prompt":', { end: true }),
];

/** All of them; with a key, each is what a client of good standing would send. */
export function badSockets(key: string | null): BadSocket[] {
  const all = [...FRAMING, ...CHUNKS, ...HEADERS, ...LINES, ...HALF];
  if (key === null) return all;
  return all.map((input) => {
    const text = input.bytes.toString('latin1').replaceAll(HOST, `${HOST}Authorization: Bearer ${key}\r\n`);
    return { ...input, bytes: Buffer.from(text, 'latin1') };
  });
}

/** Status lines in what a server wrote; never more than one may answer a bad request. */
export function statusesIn(answer: string): number[] {
  return [...answer.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map((match) => Number(match[1]));
}
