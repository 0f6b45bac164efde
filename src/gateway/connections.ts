import { isIPv6, type Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ConnectionClosure } from '../observability/index.ts';
import { type ApiError, overloaded, rateLimited } from './api/api-error.ts';
import type { Guard } from './guard.ts';

/** Connections beyond `connectionsMax`; while that is exceeded they are answered on the routes of `PROBE` only. */
export const CONNECTIONS_RESERVED = 16;
const BUSY_RETRY_MS = 1000;

export interface ConnectionLimits {
  readonly connectionsMax: number;
  /** null = none. */
  readonly connectionsPerAddressMax: number | null;
  /** Requests of one connection that may wait for the one before them. */
  readonly pipelinedMax: number;
}

export interface ConnectionObserver {
  readonly guard: Guard;
  readonly metrics: { connectionsOpen(count: number): void; connectionClosed(reason: ConnectionClosure): void };
}

interface Connection {
  readonly socket: Socket;
  readonly address: Address;
  /** It was taken when all others were busy. */
  reserved: boolean;
  /** One of its requests is being answered. */
  answering: boolean;
  /** Those behind it, each as what lets it begin. */
  readonly waiting: (() => void)[];
}

/** A client's IPv4 address or IPv6 network. */
interface Address {
  readonly name: string;
  connections: number;
  /** As in `Connections.idle`. */
  readonly idle: Set<Connection>;
}

/**
 * The connections of the server, and which of them are closed or refused near the limits. A connection is idle while no complete
 * request of it is being answered, so also before its first byte and while a body is on its way. A new connection beyond a limit
 * takes the place of the one that has been idle longest. Where all are busy, a few more are taken for probes and scrapers, and
 * then none. The requests of one connection are answered one after the other.
 */
export class Connections {
  private readonly limits: ConnectionLimits;
  private readonly observer: ConnectionObserver;
  private readonly open = new Map<Socket, Connection>();
  private readonly addresses = new Map<string, Address>();
  /** Longest idle first. */
  private readonly idle = new Set<Connection>();
  /** Too new to be closed: what they have sent has not been read. Those of this turn of the event loop, and of the last. */
  private fresh: Connection[] = [];
  private aged: Connection[] = [];
  private ageing = false;

  constructor(limits: ConnectionLimits, observer: ConnectionObserver) {
    this.limits = limits;
    this.observer = observer;
  }

  /** Takes over the connections of `app`; hooks that were added before have checked a request's key. */
  attach(app: FastifyInstance): void {
    const { guard } = this.observer;
    app.server.on('connection', (socket) => guard.run('connections', () => this.accept(socket)));
    // Without a listener an accept that fails, for want of a file descriptor, would end the process.
    app.server.on('error', (error) => {
      if (app.server.listening) guard.failed('connections', error);
    });
    app.addHook('onRequest', (request, reply, done) => {
      const connection = this.open.get(request.raw.socket);
      if (connection === undefined) {
        done();
        return;
      }
      const refusal = this.refusal(connection, request);
      if (refusal === null) {
        this.arrive(connection, reply, done);
        return;
      }
      reply.header('connection', 'close');
      done(refusal);
    });
    app.addHook('preHandler', (request, _reply, done) => {
      const connection = this.open.get(request.raw.socket);
      if (connection !== undefined) this.leaveIdle(connection);
      done();
    });
  }

  private accept(socket: Socket): void {
    // It may be gone already; then it has no address.
    if (socket.destroyed) return;
    const address = this.addressOf(socket);
    const { connectionsMax, connectionsPerAddressMax } = this.limits;
    const crowded = connectionsPerAddressMax !== null && address.connections >= connectionsPerAddressMax;
    if (crowded && !this.closeLongestIdle(address.idle, 'address')) {
      this.refuse(socket, address, 'address');
      return;
    }
    if (this.open.size >= connectionsMax) this.closeLongestIdle(this.idle, 'idle');
    if (this.open.size >= connectionsMax + CONNECTIONS_RESERVED) {
      this.refuse(socket, address, 'full');
      return;
    }
    const reserved = this.open.size >= connectionsMax;
    const connection: Connection = { socket, address, reserved, answering: false, waiting: [] };
    address.connections++;
    this.open.set(socket, connection);
    this.observer.metrics.connectionsOpen(this.open.size);
    socket.once('close', () => this.forget(connection));
    this.fresh.push(connection);
    this.age();
  }

  /** Why a request is not taken on its connection, or null. */
  private refusal(connection: Connection, request: FastifyRequest): ApiError | null {
    const { connectionsMax, pipelinedMax } = this.limits;
    if (connection.reserved && this.open.size <= connectionsMax) connection.reserved = false;
    if (connection.reserved && request.routeOptions.config.anyOrigin !== true)
      return overloaded('too_many_connections', 'all connections are in use', BUSY_RETRY_MS);
    if (connection.answering && connection.waiting.length >= pipelinedMax)
      return rateLimited(`at most ${pipelinedMax} requests may wait on one connection`, BUSY_RETRY_MS);
    return null;
  }

  /** A request's headers have come and its key is good: it begins when those before it are answered. */
  private arrive(connection: Connection, reply: FastifyReply, done: () => void): void {
    const begin = (): void => {
      connection.answering = true;
      // As the newest of the idle ones: its body may still be on its way.
      this.joinIdle(connection);
      reply.raw.once('close', () => this.answered(connection));
      done();
    };
    if (connection.answering) connection.waiting.push(begin);
    else begin();
  }

  private answered(connection: Connection): void {
    connection.answering = false;
    if (!this.open.has(connection.socket)) return;
    const next = connection.waiting.shift();
    if (next !== undefined) next();
    else this.joinIdle(connection);
  }

  private forget(connection: Connection): void {
    if (!this.open.delete(connection.socket)) return;
    this.observer.metrics.connectionsOpen(this.open.size);
    this.leaveIdle(connection);
    connection.waiting.length = 0;
    const { address } = connection;
    if (--address.connections === 0) this.addresses.delete(address.name);
  }

  private refuse(socket: Socket, address: Address, reason: ConnectionClosure): void {
    if (address.connections === 0) this.addresses.delete(address.name);
    this.observer.metrics.connectionClosed(reason);
    socket.destroy();
  }

  /** False: none is idle. Its descriptor is free at once. */
  private closeLongestIdle(idle: ReadonlySet<Connection>, reason: ConnectionClosure): boolean {
    const [oldest] = idle;
    if (oldest === undefined) return false;
    this.observer.metrics.connectionClosed(reason);
    oldest.socket.destroy();
    this.forget(oldest);
    return true;
  }

  private joinIdle(connection: Connection): void {
    this.leaveIdle(connection);
    this.idle.add(connection);
    connection.address.idle.add(connection);
  }

  private leaveIdle(connection: Connection): void {
    this.idle.delete(connection);
    connection.address.idle.delete(connection);
  }

  /** A connection becomes idle after two turns of the event loop: by then the first bytes of an honest client are read. */
  private age(): void {
    if (this.ageing) return;
    this.ageing = true;
    this.observer.guard.soon('connections', () => {
      this.ageing = false;
      for (const connection of this.aged) {
        if (!connection.answering && this.open.has(connection.socket)) this.joinIdle(connection);
      }
      this.aged = this.fresh;
      this.fresh = [];
      if (this.aged.length > 0) this.age();
    });
  }

  private addressOf(socket: Socket): Address {
    const name = networkOf(socket.remoteAddress ?? '');
    let address = this.addresses.get(name);
    if (address === undefined) {
      address = { name, connections: 0, idle: new Set() };
      this.addresses.set(name, address);
    }
    return address;
  }
}

/** A client of IPv6 has a network of 64 bits to choose addresses from. */
function networkOf(address: string): string {
  const mapped = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  if (!isIPv6(mapped)) return mapped;
  const [head = '', tail] = mapped.split('%', 1)[0]!.split('::');
  const groups = head === '' ? [] : head.split(':');
  const behind = tail === undefined || tail === '' ? 0 : tail.split(':').length;
  if (tail !== undefined) while (groups.length < 8 - behind) groups.push('0');
  return groups.slice(0, 4).join(':');
}
