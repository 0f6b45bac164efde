import { ADMIN, type RouteRegistry } from '../access.ts';
import { debugBody, withNames } from '../answer/debug-body.ts';
import { parseAdminAbort, parseAdminFault } from '../api/admin-orders.ts';
import { ApiError, badRequest, overloaded, serverError } from '../api/api-error.ts';
import type { GatewayContext } from '../context.ts';
import {
  type AdminCall,
  EngineBrokenError,
  EngineDownError,
  type InjectedFault,
  type PlantedFault,
} from '../engine-link.ts';
import type { LiveCalls } from '../live-calls.ts';

/** Gives an order to the engine. Throws ApiError where there is no engine, or one that has just broken an invariant. */
async function ordered({ link, names }: GatewayContext, call: AdminCall): Promise<unknown> {
  try {
    return await link.admin(call);
  } catch (error) {
    if (error instanceof EngineDownError)
      throw overloaded('engine_down', 'the engine is being started again', error.retryAfterMs);
    if (error instanceof EngineBrokenError)
      throw serverError('invariant_violated', `${withNames(error.message, names)}; the engine is started again`);
    throw error;
  }
}

/** Injects a fault; what it was planted in, where that has a name. */
async function planted(context: GatewayContext, fault: InjectedFault): Promise<object> {
  let done: PlantedFault | null;
  try {
    done = (await ordered(context, { call: 'inject-fault', fault })) as PlantedFault | null;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw badRequest('kind', `${fault.kind}: ${(error as Error).message}`);
  }
  return done === null ? {} : { planted: debugBody(done, context.names) };
}

/** Orders of the person on call; each needs an admin key. */
export function adminRoutes(app: RouteRegistry, context: GatewayContext, calls: LiveCalls): void {
  const { link } = context;

  app.post('/admin/abort', ADMIN, async (request) => ({ aborted: calls.abort(parseAdminAbort(request.body)) }));

  app.post('/admin/drain', ADMIN, async () => {
    await link.admin({ call: 'drain' });
    return { state: 'draining', live_requests: link.live };
  });

  app.post('/admin/reset_prefix_cache', ADMIN, async () => {
    await ordered(context, { call: 'reset-prefix-cache' });
    return { reset: true };
  });

  app.post('/admin/check', ADMIN, async () => {
    await ordered(context, { call: 'check' });
    return { ok: true };
  });

  app.post('/admin/faults', ADMIN, async (request) => {
    const fault = parseAdminFault(request.body);
    return { injected: fault, ...(await planted(context, fault)) };
  });
}
