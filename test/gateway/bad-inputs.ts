import { BAD_BODIES } from './bad-bodies.ts';

/** A request that must be refused with an error in OpenAI's shape, and leave the server as it was. */
export interface BadInput {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | null;
  /** Which of them depends on how the server is set up. */
  readonly status: readonly number[];
  /** undefined: not stated. */
  readonly param?: string | null;
  readonly code?: string | null;
}

/** What the server under test is set up with. */
export interface ServedFacts {
  readonly model: string;
  readonly modelLenMax: number;
  readonly vocabularySize: number;
  readonly bodyBytesMax: number;
  readonly bodyDepthMax: number;
}

const JSON_HEADERS = { 'content-type': 'application/json' };

function bodyText(model: string, endpoint: string, patch: string): string {
  const start = `"model":${JSON.stringify(model)}`;
  if (endpoint === '/v1/chat/completions') {
    return `{${start},"messages":[{"role":"user","content":"hi"}],"max_tokens":4,${patch}}`;
  }
  return endpoint === '/tokenize' || endpoint === '/detokenize'
    ? `{${patch}}`
    : `{${start},"prompt":"hi","max_tokens":4,${patch}}`;
}

/** Bodies that are JSON and wrong: by field. Later keys of a patch win over the good ones. */
export function badBodies(facts: ServedFacts): BadInput[] {
  return BAD_BODIES.map(({ endpoint, patch, status, param, code }) => ({
    name: `${endpoint} ${patch.length > 90 ? `${patch.slice(0, 90)}...` : patch}`,
    method: 'POST',
    path: endpoint,
    headers: JSON_HEADERS,
    body: bodyText(facts.model, endpoint, patch),
    status: [status],
    param,
    ...(code === undefined ? {} : { code }),
  }));
}

/** Prompts and outputs longer than the context, and token ids just outside of the vocabulary. */
export function badLengths(facts: ServedFacts): BadInput[] {
  const { model, modelLenMax, vocabularySize } = facts;
  const tokens = `[${new Array(modelLenMax).fill(1).join(',')}]`;
  const words = JSON.stringify('a b c d '.repeat(modelLenMax));
  const of = (name: string, path: string, fields: string, param: string, code: string): BadInput => ({
    name,
    method: 'POST',
    path,
    headers: JSON_HEADERS,
    body: `{"model":${JSON.stringify(model)},${fields}}`,
    status: [400],
    param,
    code,
  });
  const chat = `"messages":[{"role":"user","content":`;
  return [
    of('a prompt as long as the context', '/v1/completions', `"prompt":${tokens}`, 'prompt', 'context_length_exceeded'),
    of(
      'the second prompt is too long',
      '/v1/completions',
      `"prompt":[[1],${tokens}]`,
      'prompt',
      'context_length_exceeded',
    ),
    of('a prompt text too long', '/v1/completions', `"prompt":${words}`, 'prompt', 'context_length_exceeded'),
    of(
      'an output too long',
      '/v1/completions',
      `"prompt":[1,1],"max_tokens":${modelLenMax - 1}`,
      'prompt',
      'context_length_exceeded',
    ),
    of(
      'an output of a trillion',
      '/v1/completions',
      '"prompt":"hi","max_tokens":1000000000000',
      'prompt',
      'context_length_exceeded',
    ),
    of('a chat too long', '/v1/chat/completions', `${chat}${words}}]`, 'messages', 'context_length_exceeded'),
    of(
      'an answer too long',
      '/v1/chat/completions',
      `${chat}"hi"}],"max_completion_tokens":${modelLenMax}`,
      'messages',
      'context_length_exceeded',
    ),
    of(
      'min_tokens over the context',
      '/v1/chat/completions',
      `${chat}"hi"}],"min_tokens":${modelLenMax}`,
      'min_tokens',
      'invalid_value',
    ),
    of('a native prompt too long', '/generate', `"prompt":${tokens}`, 'prompt', 'context_length_exceeded'),
    of(
      'a streamed prompt too long',
      '/v1/completions',
      `"stream":true,"prompt":${tokens}`,
      'prompt',
      'context_length_exceeded',
    ),
    of(
      'the first id after the vocabulary',
      '/v1/completions',
      `"prompt":[1,${vocabularySize}]`,
      'prompt.1',
      'invalid_value',
    ),
    of(
      'a bias after the vocabulary',
      '/v1/completions',
      `"prompt":"hi","logit_bias":{"${vocabularySize}":1}`,
      'logit_bias',
      'invalid_value',
    ),
    of(
      'a detokenised id after the vocabulary',
      '/detokenize',
      `"tokens":[${vocabularySize}]`,
      'tokens.0',
      'invalid_value',
    ),
    of('no prompt in a list', '/v1/completions', '"prompt":[]', 'prompt', 'empty_prompt'),
    of('a prompt without tokens', '/v1/completions', '"prompt":[[]]', 'prompt', 'empty_prompt'),
    of('an empty prompt beside a good one', '/v1/completions', '"prompt":[[1],[]]', 'prompt', 'empty_prompt'),
    of('a native prompt without tokens', '/generate', '"prompt":[]', 'prompt', 'empty_prompt'),
  ];
}

/** Bodies that are no JSON object. */
export function badJson(facts: ServedFacts): BadInput[] {
  const nested = (depth: number) => `{"prompt":"hi","x":${'['.repeat(depth)}${']'.repeat(depth)}}`;
  const bytes = (...parts: (string | number[])[]) =>
    Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))));
  const of = (
    name: string,
    body: string | Uint8Array,
    code = 'invalid_json',
    param: string | null = null,
  ): BadInput[] =>
    ['/v1/chat/completions', '/v1/completions', '/generate', '/tokenize'].map((path) => {
      return {
        name: `${path}: ${name}`,
        method: 'POST',
        path,
        headers: JSON_HEADERS,
        body,
        status: [400],
        code,
        param,
      };
    });
  return [
    ...of('an empty body', ''),
    ...of('blanks', '   \n\t'),
    ...of('a truncated object', '{"model":"m","prompt":"hi'),
    ...of('a trailing comma', '{"prompt":"hi",}'),
    ...of('two objects', '{"prompt":"hi"}{"prompt":"hi"}'),
    ...of('single quotes', "{'prompt':'hi'}"),
    ...of('a comment', '{"prompt":"hi"/* why */}'),
    ...of('NaN', '{"prompt":"hi","temperature":NaN}'),
    ...of('Infinity', '{"prompt":"hi","temperature":-Infinity}'),
    ...of('hexadecimal', '{"prompt":"hi","max_tokens":0x10}'),
    ...of('leading zeros', '{"prompt":"hi","max_tokens":010}'),
    ...of('a raw control character', '{"prompt":"a\u0000b"}'),
    ...of('a bad escape', '{"prompt":"\\x41"}'),
    ...of('half an escape', '{"prompt":"\\u12"}'),
    ...of('form data', 'prompt=hi&max_tokens=4'),
    ...of('a million open brackets', '['.repeat(1_000_000 > facts.bodyBytesMax ? facts.bodyBytesMax >> 1 : 1_000_000)),
    ...of('one level too deep', nested(facts.bodyDepthMax)),
    ...of('deep objects', `${'{"a":'.repeat(facts.bodyDepthMax + 1)}1${'}'.repeat(facts.bodyDepthMax + 1)}`),
    ...of('a byte that is no UTF-8', bytes('{"prompt":"', [0xff], '"}')),
    ...of('an overlong slash', bytes('{"prompt":"', [0xc0, 0xaf], '"}')),
    ...of('a surrogate in UTF-8', bytes('{"prompt":"', [0xed, 0xa0, 0x80], '"}')),
    ...of('half a character at the end', bytes('{"prompt":"', [0xe2, 0x82])),
    ...of('UTF-16', Buffer.from('{"prompt":"hi"}', 'utf16le')),
    ...of('compressed bytes', bytes([0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00])),
    ...of('a list', '[1,2,3]', 'invalid_body'),
    ...of('a string', '"hi"', 'invalid_body'),
    ...of('null', 'null', 'invalid_body'),
    ...of('a number', '42', 'invalid_body'),
  ];
}

/** Paths, methods and headers that are wrong, in well-formed HTTP. */
function badRequests(facts: ServedFacts): BadInput[] {
  const good = `{"model":${JSON.stringify(facts.model)},"prompt":"hi","max_tokens":1}`;
  const get = (path: string, status: readonly number[], code: string, method = 'GET'): BadInput => {
    return { name: `${method} ${path}`, method, path, headers: {}, body: null, status, code };
  };
  /** code null: not stated. */
  const post = (
    name: string,
    headers: Record<string, string>,
    status: number,
    code: string | null,
    more: Partial<BadInput> = {},
  ): BadInput => {
    const said = code === null ? {} : { code };
    return { name, method: 'POST', path: '/v1/completions', headers, body: good, status: [status], ...said, ...more };
  };
  return [
    get('/', [404], 'unknown_url'),
    get('/nope', [404], 'unknown_url'),
    get('/v1', [404], 'unknown_url'),
    get('/v1/chat/completions/', [404], 'unknown_url'),
    get('/v1/../../etc/passwd', [404], 'unknown_url'),
    get('/v1/%2e%2e/%2e%2e/etc/passwd', [404], 'unknown_url'),
    get(`/${'a'.repeat(4000)}`, [404], 'unknown_url'),
    get('/constructor', [404], 'unknown_url'),
    // Patterns of the router, which are none in a path.
    get('/:a(', [404], 'unknown_url'),
    get('/v1/:a(((.*)*))', [404], 'unknown_url'),
    get('/*', [404], 'unknown_url'),
    get('/%', [400], 'malformed_http'),
    get('/v1/models/%ff', [400], 'malformed_http'),
    get('/v1/models/%e2%82', [400], 'malformed_http'),
    get('/debug/requests/%c0%af', [400], 'malformed_http'),
    get(`/v1/models/${'a'.repeat(2000)}`, [404], 'model_not_found'),
    get(`/debug/requests/${'a'.repeat(2000)}`, [414], 'uri_too_long'),
    get('/__proto__', [404], 'unknown_url'),
    get('/v1/models/nope', [404], 'model_not_found'),
    get('/v1/chat/completions', [405], 'method_not_allowed'),
    get('/v1/completions', [405], 'method_not_allowed', 'DELETE'),
    get('/v1/completions', [405], 'method_not_allowed', 'PUT'),
    get('/v1/models', [405], 'method_not_allowed', 'DELETE'),
    get('/metrics', [405], 'method_not_allowed', 'DELETE'),
    get('/generate', [405], 'method_not_allowed'),
    get('/%67enerate', [405], 'method_not_allowed'),
    get('/v1/models/twin', [405], 'method_not_allowed', 'PATCH'),
    get('/v1/models', [405], 'method_not_allowed', 'PROPFIND'),
    get('/v1/models', [405], 'method_not_allowed', 'OPTIONS'),
    get('/nope', [404], 'unknown_url', 'PURGE'),
    post('an unknown path with a body', JSON_HEADERS, 404, 'unknown_url', { path: '/v1/responses' }),
    post('embeddings', JSON_HEADERS, 501, 'not_implemented', { path: '/v1/embeddings' }),
    post('text/plain', { 'content-type': 'text/plain' }, 415, 'unsupported_media_type'),
    post('a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'unsupported_media_type'),
    post('multipart', { 'content-type': 'multipart/form-data; boundary=x' }, 415, 'unsupported_media_type'),
    post('XML', { 'content-type': 'application/xml' }, 415, 'unsupported_media_type'),
    post('a made-up type', { 'content-type': 'application/jsonx' }, 415, 'unsupported_media_type'),
    post('no type of content', {}, 415, 'unsupported_media_type'),
    post('an empty type of content', { 'content-type': '' }, 415, 'unsupported_media_type'),
    post('a timeout in words', { ...JSON_HEADERS, 'x-request-timeout-ms': 'soon' }, 400, null, {
      param: 'x-request-timeout-ms',
    }),
    post('a timeout of nothing', { ...JSON_HEADERS, 'x-request-timeout-ms': '0' }, 400, null, {
      param: 'x-request-timeout-ms',
    }),
    post('a timeout before now', { ...JSON_HEADERS, 'x-request-timeout-ms': '-5' }, 400, null, {
      param: 'x-request-timeout-ms',
    }),
    post('an endless timeout', { ...JSON_HEADERS, 'x-request-timeout-ms': 'Infinity' }, 400, null, {
      param: 'x-request-timeout-ms',
    }),
    post('a body over the limit', JSON_HEADERS, 413, 'body_too_large', {
      body: `{"prompt":"${'x'.repeat(facts.bodyBytesMax)}"}`,
      param: null,
    }),
    ...['abort', 'drain', 'reset_prefix_cache', 'faults'].map((order): BadInput => {
      return {
        name: `admin ${order} without a key`,
        method: 'POST',
        path: `/admin/${order}`,
        headers: JSON_HEADERS,
        body: '{}',
        status: [401, 403],
      };
    }),
  ];
}

/** All of them. */
export function badInputs(facts: ServedFacts): BadInput[] {
  return [...badBodies(facts), ...badLengths(facts), ...badJson(facts), ...badRequests(facts)];
}
