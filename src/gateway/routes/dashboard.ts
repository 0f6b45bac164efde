import { gzipSync } from 'node:zlib';
import type { DashboardViewer } from '../../observability/dashboard/dashboard-feed.ts';
import { OPEN, type RouteRegistry } from '../access.ts';
import { ApiError } from '../api/index.ts';
import type { GatewayContext } from '../context.ts';

/** Unread bytes above which a viewer is cut off: a few times the history that it gets first. Its browser comes back. */
const UNREAD_BYTES_MAX = 4 << 20;

/** The page for people and what it is fed with. Like /metrics it has no prompts in it and asks the engine for nothing. */
export function dashboardRoutes(app: RouteRegistry, context: GatewayContext): void {
  const { page, feed } = context.dashboard;
  const packed = gzipSync(page.html);

  app.get('/dashboard', OPEN, async (request, reply) => {
    reply.headers({
      'content-type': 'text/html; charset=utf-8',
      // Who may frame a page can only be said in a header.
      'content-security-policy': `${page.policy}; frame-ancestors 'none'`,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-cache',
      vary: 'accept-encoding',
    });
    if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return page.html;
    reply.header('content-encoding', 'gzip');
    return packed;
  });

  // HEAD would hold a viewer's place without being sent anything.
  app.get('/dashboard/stream', { ...OPEN, exposeHeadRoute: false }, async (request, reply) => {
    const { raw } = reply;
    const viewer: DashboardViewer = {
      send(events) {
        raw.write(events);
        if (raw.writableLength > UNREAD_BYTES_MAX) raw.destroy();
      },
      end: () => raw.end(),
    };
    if (feed.full) throw new ApiError(503, 'overloaded_error', 'dashboards_full', null, 'too many dashboards are open');
    reply.hijack();
    raw.once('close', () => feed.remove(viewer));
    raw.writeHead(200, {
      'x-request-id': request.id,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    feed.add(viewer);
  });

  app.addHook('preClose', async () => feed.close());
}
