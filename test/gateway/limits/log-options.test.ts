import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { loggedId, logOptions } from '../../../src/gateway/limits/log-options.ts';

/** What the log holds after `work`. */
function logged(work: (log: pino.Logger) => void): string {
  let text = '';
  const sink = {
    write: (line: string) => {
      text += line;
    },
  };
  work(pino(logOptions('debug'), sink));
  return text;
}

const SECRET = 'sk-very-secret-0123456789';
const PROMPT = 'my medical history';

describe('log lines', () => {
  it.each([
    ['headers', { headers: { authorization: `Bearer ${SECRET}` } }],
    ['the other header', { headers: { 'x-api-key': SECRET } }],
    ['cookies', { headers: { cookie: SECRET, 'set-cookie': SECRET } }],
    ['a request', { req: { id: 'r', method: 'POST', url: `/v1?key=${SECRET}`, headers: { authorization: SECRET } } }],
    ['a request by another name', { request: { headers: { authorization: SECRET } } }],
    ['the field itself', { authorization: SECRET }],
  ])('hold no key from %s', (_what, fields) => {
    const text = logged((log) => log.info(fields, 'asked'));
    expect(text).not.toContain(SECRET);
    expect(text).toContain('asked');
  });

  it.each([
    ['a body', { body: { prompt: PROMPT } }],
    ['a prompt', { prompt: PROMPT }],
    ['messages', { messages: [{ role: 'user', content: PROMPT }] }],
    ['a call', { call: { prompt: PROMPT, text: PROMPT } }],
    ['a request with a body', { req: { id: PROMPT, method: 'POST', url: `/v1/${PROMPT}`, body: { prompt: PROMPT } } }],
    ['an error that quotes it', { err: new SyntaxError(`Unexpected token in ${PROMPT}`) }],
    ['an error with lines that quote it', { err: new Error(`bad\n${PROMPT}\n  ${PROMPT}`) }],
  ])('hold no text from %s', (_what, fields) => {
    expect(logged((log) => log.error(fields, 'failed'))).not.toContain(PROMPT);
  });

  it('hold no message of an error that is logged alone', () => {
    for (const given of [new Error(PROMPT), { err: new Error(PROMPT) }]) {
      expect(logged((log) => log.error(given))).not.toContain(PROMPT);
    }
  });

  it('say of a request who, what and where, as the route is registered', () => {
    const req = {
      id: 'r-1',
      method: 'GET',
      url: '/v1/models/x',
      ip: '127.0.0.1',
      routeOptions: { url: '/v1/models/*' },
    };
    const text = logged((log) => log.info({ req, res: { statusCode: 200 } }));
    expect(JSON.parse(text)).toMatchObject({
      req: { id: 'r-1', method: 'GET', route: '/v1/models/*', ip: '127.0.0.1' },
      res: { statusCode: 200 },
    });
  });

  it('say of an error its kind and place', () => {
    const line = JSON.parse(logged((log) => log.error({ err: new RangeError('x') }))) as {
      err: { type: string; stack: string };
    };
    expect(line.err.type).toBe('RangeError');
    expect(line.err.stack).toContain('log-options.test.ts');
  });

  it('keep to their level', () => {
    let lines = 0;
    const log = pino(logOptions('warn'), {
      write: () => {
        lines++;
      },
    });
    log.info('no');
    log.warn('yes');
    expect(lines).toBe(1);
  });

  it('name a request as its client did only where that has the form of an id', () => {
    for (const id of ['req-1', '3f1c6e0a-5a0e-4a53-9c54-0d1f9ad5a0c1', 'chatcmpl-01J9ZQ4X6Y_7'])
      expect(loggedId(id)).toBe(id);
    for (const id of ['my.history', 'two words 2', 'nodigits', `${'x'.repeat(100)}1`, '1\n2']) {
      expect(loggedId(id)).toMatch(/^sha256-[0-9a-f]{16}$/);
    }
    expect(loggedId('my.history')).toBe(loggedId('my.history'));
  });
});
