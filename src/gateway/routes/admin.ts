import type { FastifyInstance } from 'fastify';
import { parseAdminAbort, parseAdminFault } from '../api/admin-orders.ts';
import type { GatewayContext } from '../context.ts';
import type { LiveCalls } from '../live-calls.ts';

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
    await link.admin({ call: 'inject-fault', fault });
    return { injected: fault };
  });
}
