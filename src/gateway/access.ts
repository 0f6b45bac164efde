import type { IncomingMessage } from 'node:http';
import type {
  FastifyContextConfig,
  FastifyInstance,
  FastifyRequest,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteGenericInterface,
  RouteHandlerMethod,
  RouteOptions,
  RouteShorthandOptions,
} from 'fastify';
import { isLoopback } from '../config/loopback.ts';
import { type ApiError, forbidden, foreignOrigin, hostNotAllowed, malformedHttp, unauthorized } from './api/index.ts';
import type { KeyRing } from './auth.ts';

/** Who may use a route: anyone; a key, or anyone where no key is configured; an admin key. */
const ACCESS = ['open', 'key', 'admin'] as const;
type Access = (typeof ACCESS)[number];

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly access: Access;
    /** Pages of any origin may read it, also where no key is needed. */
    readonly anyOrigin?: boolean;
    /** An admin route that changes nothing for clients: on a loopback server without keys, programs of the same machine may use it. */
    readonly localWithoutKey?: boolean;
  }
}

type Server = RawServerDefault;
type Request = RawRequestDefaultExpression;
type Reply = RawReplyDefaultExpression;
type AddRoute = <R extends RouteGenericInterface = RouteGenericInterface>(
  path: string,
  options: RouteShorthandOptions<Server, Request, Reply, R> & Required<Pick<RouteOptions, 'config'>>,
  handler: RouteHandlerMethod<Server, Request, Reply, R>,
) => unknown;

/** The application as routes are added to it: none without its access. */
export interface RouteRegistry extends Pick<FastifyInstance, 'addHook'> {
  readonly get: AddRoute;
  readonly post: AddRoute;
}

/** What load balancers and scrapers ask; answered also where all connections are busy. */
export const PROBE = { config: { access: 'open', anyOrigin: true } } as const;
export const OPEN = { config: { access: 'open' } } as const;
export const KEY = { config: { access: 'key' } } as const;
export const ADMIN = { config: { access: 'admin' } } as const;
/** What the person on call looks at. */
export const DEBUG = { config: { access: 'admin', localWithoutKey: true } } as const;

/** Refuses to register a route that does not say who may use it. */
export function requireAccess(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    // The preflight route of @fastify/cors takes no configuration. It does nothing but say which origins are let in.
    if (route.method === 'OPTIONS' && route.url === '*') route.config = OPEN.config;
    if (ACCESS.includes(route.config?.access as Access)) return;
    throw new Error(`${route.method} ${route.url} has no access; expected: config.access of ${ACCESS_WORDS}`);
  });
}

const ACCESS_WORDS = 'open, key or admin';

export interface SourceRules {
  /** The server listens on a loopback address only. */
  readonly loopback: boolean;
  /** Names in `Host` that a loopback server answers to, in lower case, besides localhost and loopback addresses. */
  readonly allowedHosts: readonly string[];
  readonly corsOrigins: readonly string[];
}

/**
 * Who may use which route. Everything is read from the route that was matched, never from the path as it was sent: a router
 * decodes and normalises paths, and any second opinion about them differs from it somewhere.
 */
export class AccessGuard {
  private readonly keys: KeyRing;
  private readonly loopback: boolean;
  private readonly allowedHosts: ReadonlySet<string>;
  private readonly corsOrigins: ReadonlySet<string>;
  /** The last Host that was let in: nearly always the next one, too. */
  private acceptedHost: string | null = null;

  constructor(keys: KeyRing, { loopback, allowedHosts, corsOrigins }: SourceRules) {
    this.keys = keys;
    this.loopback = loopback;
    this.allowedHosts = new Set(allowedHosts);
    this.corsOrigins = new Set(corsOrigins);
  }

  /**
   * What a web page could make a browser send is refused before keys are looked at: requests under a name that was pointed at
   * this machine (DNS rebinding), and requests of foreign pages where being able to reach the server is all that is needed.
   */
  checkSource(request: FastifyRequest): ApiError | null {
    const { raw } = request;
    const authority = authorityOf(raw);
    if (authority instanceof Error) return authority;
    if (this.loopback && authority !== null && !this.acceptsHost(authority)) return hostNotAllowed(authority);
    const { access, anyOrigin } = configOf(request);
    const guarded = access === 'admin' || (this.keys.open && anyOrigin !== true);
    if (guarded && isForeign(raw, authority, this.corsOrigins)) return foreignOrigin(raw.headers.origin);
    return null;
  }

  /** Checks the key, and notes whose it is. */
  admit(request: FastifyRequest): ApiError | null {
    const config = configOf(request);
    if (config.access === 'open') return null;
    const { keys } = this;
    const header = request.headers['x-api-key'];
    const entry = keys.authenticate(request.headers.authorization, typeof header === 'string' ? header : undefined);
    request.key = entry;
    if (config.access === 'key') return keys.open || entry !== null ? null : unauthorized();
    if (config.access !== 'admin') return forbidden('this endpoint does not say who may use it, so nothing may');
    if (entry?.admin === true) return null;
    if (config.localWithoutKey === true && this.isLocal(request.raw)) return null;
    if (!keys.hasAdmin)
      return forbidden('admin endpoints need an admin key; none is configured (auth.keys with admin: true)');
    return entry === null ? unauthorized() : forbidden('this key is not an admin key');
  }

  private acceptsHost(authority: string): boolean {
    if (authority === this.acceptedHost) return true;
    const name = hostName(authority);
    if (name === null || !(isLoopback(name) || this.allowedHosts.has(name))) return false;
    this.acceptedHost = authority;
    return true;
  }

  /** Sent by a program of this machine to a server that only this machine reaches, and not by a proxy for others. */
  private isLocal({ socket, headers }: IncomingMessage): boolean {
    if (!this.keys.open || !this.loopback || !isLoopback(socket.remoteAddress ?? '')) return false;
    return PROXY_HEADERS.every((name) => headers[name] === undefined);
  }
}

/** A path without a route is answered like a route that needs a key. */
function configOf(request: FastifyRequest): FastifyContextConfig {
  return request.is404 ? KEY.config : request.routeOptions.config;
}

const PROXY_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'] as const;
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)/i;

/**
 * Host and port as the client wrote them; null for HTTP/1.0 without `Host`, which no browser sends. An error for what RFC 9112
 * (section 3.2) has a server refuse, where two readers could see two hosts.
 */
function authorityOf({ headers, rawHeaders, httpVersion, url }: IncomingMessage): string | null | ApiError {
  const { host } = headers;
  if (host !== undefined) {
    let count = 0;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      if (rawHeaders[i]!.length === 4 && rawHeaders[i]!.toLowerCase() === 'host') count++;
    }
    if (count > 1) return malformedHttp('host: there is more than one; expected: one');
  } else if (httpVersion !== '1.0')
    return malformedHttp('host: is missing; expected: the host and port of this server');
  const target = url!.charCodeAt(0) === SLASH ? null : ABSOLUTE_FORM.exec(url!);
  if (target === null) return host ?? null;
  if (host === undefined || host.toLowerCase() === target[1]!.toLowerCase()) return target[1]!;
  return malformedHttp('host: is another than that of the request line; expected: the same');
}

const SLASH = 0x2f;
const AUTHORITY = /^(?:\[([0-9a-f.]*:[0-9a-f:.]*)\]|([^\s:/?#@[\]\\]+?)\.?)(?::\d*)?$/i;

/** The name or address in a `Host`, in lower case, without port, brackets and the dot of the root; null = malformed. */
function hostName(authority: string): string | null {
  const match = AUTHORITY.exec(authority);
  return match === null ? null : (match[1] ?? match[2]!).toLowerCase();
}

/**
 * Whether a page of another origin asks: neither this server's own (plain HTTP, under the `Host` that was asked) nor one of
 * `corsOrigins`. Browsers name the origin with everything but simple reads; for these `Sec-Fetch-Site` tells. A link that a
 * person follows is not foreign: the page that has it does not get to see the answer.
 */
function isForeign(
  { headers, method }: Pick<IncomingMessage, 'headers' | 'method'>,
  authority: string | null,
  corsOrigins: ReadonlySet<string>,
): boolean {
  const { origin } = headers;
  if (origin !== undefined) {
    const own = authority === null ? null : `http://${authority.toLowerCase().replace(DEFAULT_PORT, '')}`;
    return origin.toLowerCase().replace(DEFAULT_PORT, '') !== own && !corsOrigins.has(origin);
  }
  const site = headers['sec-fetch-site'];
  if (site !== 'cross-site' && site !== 'same-site') return false;
  return !((method === 'GET' || method === 'HEAD') && headers['sec-fetch-mode'] === 'navigate');
}

const DEFAULT_PORT = /:(?:80)?$/;
