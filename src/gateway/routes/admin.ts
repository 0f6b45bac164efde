import type { FastifyInstance } from 'fastify';
import { debugBody } from '../answer/debug-body.ts';
import { parseAdminAbort, parseAdminFault } from '../api/admin-orders.ts';
import { badRequest } from '../api/api-error.ts';
import type { GatewayContext } from '../context.ts';
import { EngineDownError, type InjectedFault, type PlantedFault } from '../engine-link.ts';
import type { LiveCalls } from '../live-calls.ts';

/** Injects a fault; what it was planted in, where that has a name. */
async function planted({ link, names }: GatewayContext, fault: InjectedFault): Promise<object> {
  let done: PlantedFault | null;
  try {
    done = (await link.admin({ call: 'inject-fault', fault })) as PlantedFault | null;
  } catch (error) {
    if (error instanceof EngineDownError) throw error;
    throw badRequest('kind', `${fault.kind}: ${(error as Error).message}`);
  }
  return done === null ? {} : { planted: debugBody(done, names) };
}

/** Orders of the person on call; each wants an admin key (see `admit`). */
export function adminRoutes(app: FastifyInstance, context: GatewayContext, calls: LiveCalls): void {
  const { link } = context;

  app.post('/admin/abort', async (request) => ({ aborted: calls.abort(parseAdminAbort(request.body)) }));

  app.post('/admin/drain', async () => {
    await link.admin({ call: 'drain' });
    return { state: 'draining', live_requests: link.live };
  });

  app.post('/admin/reset_prefix_cache', async () => {
    await link.admin({ call: 'reset-prefix-cache' });
    return { reset: true };
  });

  app.post('/admin/check', async () => {
    await link.admin({ call: 'check' });
    return { ok: true };
  });

  app.post('/admin/faults', async (request) => {
    const fault = parseAdminFault(request.body);
    return { injected: fault, ...(await planted(context, fault)) };
  });
}
