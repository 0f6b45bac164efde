import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance } from 'fastify';

/** A route as fastify registered it, with its parameters (`:id`, `*`). */
export interface RegisteredRoute {
  readonly method: string;
  readonly url: string;
  /** A path that it matches. */
  readonly path: string;
}

const SAMPLES: Readonly<Record<string, string>> = { ':id': 'x', ':block': '0', '*': 'twin' };

function pathOf(url: string): string {
  return url
    .split('/')
    .map((part) => SAMPLES[part] ?? part)
    .join('/');
}

/**
 * Runs `start` and collects the routes that fastify registers meanwhile, from fastify itself. `prepare` gets each instance
 * when it is made, before the server has added anything to it.
 */
export async function watchRoutes<T>(
  start: () => Promise<T>,
  prepare: (app: FastifyInstance) => void = () => {},
): Promise<{ readonly started: T; readonly routes: readonly RegisteredRoute[] }> {
  const routes: RegisteredRoute[] = [];
  const made = (message: unknown) => {
    const app = (message as { fastify: FastifyInstance }).fastify;
    app.addHook('onRoute', ({ method, url }) => {
      for (const each of [method].flat()) routes.push({ method: each, url, path: pathOf(url) });
    });
    prepare(app);
  };
  subscribe('fastify.initialization', made);
  try {
    return { started: await start(), routes };
  } finally {
    unsubscribe('fastify.initialization', made);
  }
}

/**
 * Takes the handlers' place: a request that is admitted to a route gets 204 and nothing is done. `x-matched` names the route of
 * every answer, a refusal's as well.
 */
export function answerInsteadOfHandlers(app: FastifyInstance): void {
  app.addHook('preHandler', async (request, reply) => {
    if (!request.is404) return reply.code(204).send();
  });
  app.addHook('onSend', async (request, reply) => {
    if (!request.is404) reply.header('x-matched', `${request.method} ${request.routeOptions.url}`);
  });
}
