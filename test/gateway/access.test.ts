import { Agent } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RouteRegistry } from '../../src/gateway/access.ts';
import { bodyOf, ENDLESS_TOKENS, type ErrorBody, openStream, post, sendExactly } from '../support/http-calls.ts';
import { answerInsteadOfHandlers, type RegisteredRoute, watchRoutes } from '../support/registered-routes.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';

type Access = 'open' | 'key' | 'admin';

/** What is wanted, written down apart from what the routes declare. */
const OPEN = new Set([
  '/health',
  '/health/live',
  '/metrics',
  '/version',
  '/openapi.json',
  '/dashboard',
  '/dashboard/stream',
]);

function wanted(url: string): Access {
  if (url.startsWith('/admin/') || url.startsWith('/debug/')) return 'admin';
  return OPEN.has(url) ? 'open' : 'key';
}

/** Whether a server could take `path` for one under /admin or /debug, decoded as often and as leniently as any does. */
function looksLikeAdmin(path: string): boolean {
  let text = path.replace(/^https?:\/\/[^/]*/i, '');
  for (let before = ''; before !== text; ) {
    before = text;
    text = text.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
  const clean = text
    .toLowerCase()
    .replace(/[?#].*$/s, '')
    .replaceAll('\\', '/')
    .replace(/;[^/]*/g, '')
    .replace(/\/(\.?\/)+/g, '/');
  return /^\/(admin|debug)(\/|$)/.test(clean);
}

function encoded(text: string): string {
  return [...text].map((character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
}

/** Ways to write `path`: some are the same path to a router, some are not. */
function spellings(path: string, port: number): readonly string[] {
  const [, first, ...rest] = path.split('/');
  const tail = rest.length === 0 ? '' : `/${rest.join('/')}`;
  return [
    path,
    ...[...path].map((character, i) => path.slice(0, i) + encoded(character) + path.slice(i + 1)),
    encoded(path),
    encoded(path).toUpperCase(),
    `/${encoded(path.slice(1))}`,
    `/%25${encoded(first!.slice(0, 1)).slice(1)}${first!.slice(1)}${tail}`,
    path.toUpperCase(),
    `/${first!.slice(0, 1).toUpperCase()}${first!.slice(1)}${tail}`,
    `/${path}`,
    path.replaceAll('/', '//'),
    `/.${path}`,
    `/x/..${path}`,
    `/%2e${path}`,
    path.replaceAll('/', '/./'),
    `/${path.slice(1).replaceAll('/', '\\')}`,
    `${path}/`,
    `${path}/.`,
    `${path}//`,
    `${path};x`,
    `/${first};x=1${tail}`,
    `${path}?a=1`,
    `${path}?`,
    `${path}#x`,
    `${path}%20`,
    `${path}%00`,
    `${path}.json`,
    `http://127.0.0.1:${port}${path}`,
    `http://127.0.0.1:${port}/${path}`,
  ];
}

interface Client {
  readonly name: 'no key' | 'a plain key' | 'an admin key';
  readonly headers: Readonly<Record<string, string>>;
}

function clientsOf(server: TestServer): readonly Client[] {
  return [
    { name: 'no key', headers: {} },
    { name: 'a plain key', headers: { authorization: `Bearer ${server.key}` } },
    { name: 'an admin key', headers: { 'x-api-key': server.adminKey } },
  ];
}

/** What may be answered to a client who asked for `path` and was matched with `route`, or with none. */
function allowed(path: string, route: string | null, client: Client['name']): readonly number[] {
  if (client !== 'an admin key' && looksLikeAdmin(path)) return [400, 401, 403, 404, 405, 414];
  if (route === null) return client === 'no key' ? [400, 401, 414] : [400, 404, 405, 414];
  const access = wanted(route);
  if (access === 'open') return [204];
  if (client === 'no key') return [401];
  return access === 'admin' && client === 'a plain key' ? [403] : [204];
}

/** Every registered route in every spelling by every client: answers that are not allowed, one line each. */
async function violations(server: TestServer, routes: readonly RegisteredRoute[]): Promise<string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const found: string[] = [];
  const ask = async (method: string, path: string, client: Client) => {
    const { status, headers } = await sendExactly(server, { method, path, headers: client.headers, agent });
    const matched = (headers['x-matched'] as string | undefined) ?? null;
    const route = matched === null ? null : matched.split(' ')[1]!;
    if (!allowed(path, route, client.name).includes(status))
      found.push(`${method} ${path} with ${client.name} is ${status} (${matched ?? 'no route'})`);
    return { status, route };
  };
  try {
    for (const { method, url, path } of routes) {
      const clients = clientsOf(server);
      // Bytes that are no HTTP are answered with a body whatever the method; a client that has sent HEAD cannot read that.
      const sendable = spellings(path, server.port).filter((each) => method !== 'HEAD' || /^(\/|http:)/.test(each));
      await Promise.all(sendable.flatMap((spelling) => clients.map((client) => ask(method, spelling, client))));
      // The literal path does reach its route: a server that refuses everything would pass the rest.
      const literal = await ask(method, path, clients[2]!);
      if (literal.route !== url || literal.status !== 204) found.push(`${method} ${path} does not reach ${url}`);
    }
  } finally {
    agent.destroy();
  }
  return found;
}

describe('access is decided by the route that a request reaches, however its path is written', () => {
  let server: TestServer;
  let routes: readonly RegisteredRoute[];

  beforeAll(async () => {
    ({ started: server, routes } = await watchRoutes(startTestServer, answerInsteadOfHandlers));
  });
  afterAll(() => server.close());

  it('every registered route, in every spelling, without a key, with a plain key and with an admin key', async () => {
    expect(routes.length).toBeGreaterThan(30);
    expect(await violations(server, routes)).toEqual([]);
  });
});

describe('a plain key', () => {
  it("does not end another tenant's stream through an encoded path", async () => {
    const server = await startTestServer({ timeScale: 1 });
    try {
      const stream = await openStream(
        server,
        { prompt: 'a', max_tokens: ENDLESS_TOKENS, ignore_eos: true },
        { key: server.adminKey },
      );
      await stream.next();
      for (const path of ['/%61dmin/abort', '/admi%6e/abort', '/%61%64%6d%69%6e/abort']) {
        await bodyOf<ErrorBody>(post(server, { all: true }, { path }), 403);
      }
      expect((await server.load()).live_requests).toBe(1);
      expect(await stream.next()).not.toBeNull();
      await stream.cancel();
    } finally {
      await server.close();
    }
  });
});

describe('a route without access', () => {
  const rogue = (path: string, config?: object) => (app: FastifyInstance) => {
    app.post(path, { config } as object, async () => ({ reached: true }));
  };

  it('is an error of types', () => {
    const add = (app: RouteRegistry) => {
      // @ts-expect-error a route needs its options
      app.get('/new', async () => ({}));
      // @ts-expect-error and these the access
      app.get('/new', {}, async () => ({}));
      // @ts-expect-error which is one of three
      app.get('/new', { config: { access: 'none' } }, async () => ({}));
      app.get('/new', { config: { access: 'key' } }, async () => ({}));
    };
    expect(add).toBeTypeOf('function');
  });

  it('keeps the server from starting', async () => {
    const late = (app: FastifyInstance) => {
      app.register(async (scope) => rogue('/admin/new')(scope));
    };
    await expect(watchRoutes(startTestServer, late)).rejects.toThrow(
      'POST /admin/new has no access; expected: config.access of open, key or admin',
    );
  });

  it('is refused to every key if it is there nevertheless; one that declares too little is found by the walk', async () => {
    const prepare = (app: FastifyInstance) => {
      answerInsteadOfHandlers(app);
      rogue('/admin/none')(app);
      rogue('/admin/little', { access: 'key' })(app);
    };
    const { started: server, routes } = await watchRoutes(startTestServer, prepare);
    try {
      for (const { headers } of clientsOf(server)) {
        expect((await sendExactly(server, { method: 'POST', path: '/admin/none', headers })).status).toBe(403);
      }
      const found = async (url: string) =>
        await violations(
          server,
          routes.filter((route) => route.url === url),
        );
      expect(await found('/admin/none')).toContain('POST /admin/none with an admin key is 403 (POST /admin/none)');
      expect(await found('/admin/little')).toContain('POST /admin/little with a plain key is 204 (POST /admin/little)');
    } finally {
      await server.close();
    }
  });
});
