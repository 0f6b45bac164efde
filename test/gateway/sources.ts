import { Agent } from 'node:http';
import fc from 'fast-check';
import { sendExactly } from '../support/http-calls.ts';
import { answerInsteadOfHandlers, watchRoutes } from '../support/registered-routes.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';

/** Where requests say that they come from (`Host`, `Origin`, `Sec-Fetch-*`), and what a server may make of it. */

const ALLOWED_HOSTS = ['llm.example.org', 'fd00::7'] as const;
const CORS_ORIGIN = 'https://chat.example.org';

/** A name of a server in `Host`, by construction one that a loopback server takes or one that it does not. */
interface HostName {
  readonly name: string;
  readonly local: boolean;
}

const byte = fc.nat(255);
/** As a browser would write it; `local` by what the URL standard makes of it. */
const ipV6 = fc.ipV6().map((address): HostName => {
  const { hostname } = new URL(`http://[${address}]`);
  return { name: `[${address}]`, local: hostname === '[::1]' || hostname.startsWith('[::ffff:7f') };
});
const domain = fc.domain().filter((name) => name !== ALLOWED_HOSTS[0]);

const localName = fc.oneof(
  fc.constantFrom('localhost', 'localhost.', '127.0.0.1', '[::1]', '[0:0:0:0:0:0:0:1]', '[fd00::7]', 'llm.example.org'),
  fc.tuple(byte, byte, byte).map((rest) => `127.${rest.join('.')}`),
);
const foreignName = fc.oneof(
  domain,
  domain.map((name) => `localhost.${name}`),
  domain.map((name) => `127.0.0.1.${name}`),
  domain.map((name) => `${name}.localhost`),
  domain.map((name) => `${name}.llm.example.org`),
  fc.ipV4().filter((address) => !address.startsWith('127.')),
  fc.constantFrom('127.1', '2130706433', '0x7f000001', '0177.0.0.1', '0.0.0.0', '[::]', 'localhost..', 'xlocalhost'),
  fc.constantFrom('a b', 'localhost@evil.example', 'evil.example#localhost', 'localhost/evil.example', '::1', '[::1'),
);

const hostName: fc.Arbitrary<HostName> = fc.oneof(
  fc.mixedCase(localName).map((name) => ({ name, local: true })),
  fc.mixedCase(foreignName).map((name) => ({ name, local: false })),
  ipV6,
);

interface Source {
  readonly host: string;
  readonly local: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** The page that asks is neither the server's own nor a configured one, whatever the method. */
  readonly foreign: boolean;
  /** It would be foreign, were it not for a link that a person follows. */
  readonly foreignUnlessRead: boolean;
}

type Page = Pick<Source, 'headers' | 'foreign' | 'foreignUnlessRead'>;

/** No `Origin`, as browsers send for reads, and as all other programs do. */
const withoutOrigin: fc.Arbitrary<Page> = fc
  .record({
    site: fc.constantFrom(null, 'none', 'same-origin', 'same-site', 'cross-site', 'unheard-of'),
    mode: fc.constantFrom(null, 'navigate', 'no-cors', 'cors'),
  })
  .map(({ site, mode }) => {
    const across = site === 'cross-site' || site === 'same-site';
    return {
      headers: {
        ...(site === null ? {} : { 'sec-fetch-site': site }),
        ...(mode === null ? {} : { 'sec-fetch-mode': mode }),
      },
      foreign: across && mode !== 'navigate',
      foreignUnlessRead: across,
    };
  });

function withOrigin(name: string, port: string): fc.Arbitrary<Page> {
  const own = `http://${name.toLowerCase()}${port === ':80' || port === ':' ? '' : port}`;
  const page = (origin: string, foreign: boolean): Page => ({
    headers: { origin, 'sec-fetch-site': foreign ? 'cross-site' : 'same-origin' },
    foreign,
    foreignUnlessRead: foreign,
  });
  return fc.oneof(
    fc.constantFrom(page(own, false), page(CORS_ORIGIN, false)),
    fc
      .oneof(
        fc.constantFrom(
          'null',
          '',
          'file://',
          own.replace('http:', 'https:'),
          `${own}/`,
          `${own}, ${own}`,
          `${own}:9999`,
        ),
        fc.constantFrom(
          'http://chat.example.org',
          `${CORS_ORIGIN}:444`,
          `${CORS_ORIGIN}.evil.example`,
          'chrome-extension://a',
        ),
        domain.map((other) => `http://${other}${port}`),
        domain.map((other) => `http://${name.toLowerCase()}.${other}`),
      )
      .filter((origin) => origin !== own)
      .map((origin) => page(origin, true)),
  );
}

const source: fc.Arbitrary<Source> = fc
  .tuple(hostName, fc.constantFrom('', ':', ':80', ':8000', ':1'))
  .chain(([{ name, local }, port]) =>
    fc.oneof(withoutOrigin, withOrigin(name, port)).map((page) => ({ host: `${name}${port}`, local: local, ...page })),
  );

const ROUTES = [
  { method: 'GET', path: '/health', kind: 'probe' },
  { method: 'GET', path: '/metrics', kind: 'probe' },
  { method: 'HEAD', path: '/health/live', kind: 'probe' },
  { method: 'GET', path: '/dashboard', kind: 'open' },
  { method: 'GET', path: '/dashboard/stream', kind: 'open' },
  { method: 'GET', path: '/version', kind: 'open' },
  { method: 'GET', path: '/v1/models', kind: 'key' },
  { method: 'POST', path: '/v1/completions', kind: 'key' },
  { method: 'POST', path: '/nowhere', kind: 'key' },
  { method: 'GET', path: '/debug/state', kind: 'debug' },
  { method: 'HEAD', path: '/debug/leaks', kind: 'debug' },
  { method: 'POST', path: '/debug/audit', kind: 'debug' },
  { method: 'POST', path: '/debug/profile/start', kind: 'admin' },
  { method: 'POST', path: '/admin/drain', kind: 'admin' },
] as const;

interface ServerKind {
  readonly name: string;
  readonly loopback: boolean;
  readonly keys: boolean;
}

export const SERVERS: readonly ServerKind[] = [
  { name: 'a loopback server with keys', loopback: true, keys: true },
  { name: 'a loopback server without keys', loopback: true, keys: false },
  { name: 'a server on all addresses with keys', loopback: false, keys: true },
  { name: 'a server on all addresses without keys', loopback: false, keys: false },
];

interface SourceServer extends ServerKind {
  readonly server: TestServer;
}

/** Its handlers do nothing. */
export async function startSourceServer(kind: ServerKind): Promise<SourceServer> {
  const overrides = {
    host: kind.loopback ? '127.0.0.1' : '0.0.0.0',
    allowedHosts: ALLOWED_HOSTS,
    corsOrigins: [CORS_ORIGIN],
    ...(kind.keys ? {} : { keys: null }),
  };
  const { started: server } = await watchRoutes(() => startTestServer(overrides), answerInsteadOfHandlers);
  return { ...kind, server };
}

/** What must be answered to a client with an admin key, or without one where the server has none: a status, and the code of an error. */
function wanted(
  { loopback, keys }: SourceServer,
  { method, path, kind }: (typeof ROUTES)[number],
  from: Source,
): string {
  if (loopback && !from.local) return '403 host_not_allowed';
  const foreign = method === 'POST' ? from.foreignUnlessRead : from.foreign;
  const guarded = kind === 'admin' || kind === 'debug' || (!keys && kind !== 'probe');
  if (guarded && foreign) return '403 foreign_origin';
  if (path === '/nowhere') return '404 unknown_url';
  if (!keys && (kind === 'admin' || (kind === 'debug' && !loopback))) return '403 forbidden';
  return '204 none';
}

/** Asks as many sources as `runs` says; throws the smallest that is answered otherwise than it must be. */
export async function checkSources(target: SourceServer, runs: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const key: Record<string, string> = target.keys ? { authorization: `Bearer ${target.server.adminKey}` } : {};
  const one = async (route: (typeof ROUTES)[number], from: Source) => {
    const { method, path } = route;
    const headers = { ...key, ...from.headers, host: from.host };
    const { status, text } = await sendExactly(target.server, { method, path, headers, agent });
    const code = text === '' ? null : (JSON.parse(text) as { error: { code: string } }).error.code;
    const expected = wanted(target, route, from);
    const matches = method === 'HEAD' ? expected.startsWith(`${status} `) : expected === `${status} ${code ?? 'none'}`;
    if (!matches) throw new Error(`${method} ${path}: ${status} ${code}, expected ${expected}`);
  };
  try {
    await fc.assert(fc.asyncProperty(fc.constantFrom(...ROUTES), source, one), { numRuns: runs, seed: 11 });
  } finally {
    agent.destroy();
  }
}
