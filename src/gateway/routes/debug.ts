import { ADMIN, DEBUG, type RouteRegistry } from '../access.ts';
import { debugBody, withNames } from '../answer/debug-body.ts';
import { ApiError, badRequest, notImplemented } from '../api/api-error.ts';
import type { GatewayContext } from '../context.ts';
import { type DebugCall, EngineDownError } from '../engine-link.ts';
import type { LiveCalls } from '../live-calls.ts';

const LIVE_CALLS_SHOWN = 50;

/** What the person on call looks at. None of it shows prompts or answers. */
export function debugRoutes(app: RouteRegistry, context: GatewayContext, calls: LiveCalls): void {
  const { names } = context;

  app.get('/debug/state', DEBUG, async () => {
    const gateway = gatewayState(context, calls);
    const answer = await ask(context, { call: 'debug-state' });
    if (!('value' in answer)) return { ...gateway, engine: null, text: `${answer.problem}; ${gateway.summary}` };
    const { text, ...engine } = answer.value as { readonly text: string };
    return { ...gateway, engine: debugBody(engine, names), text: withNames(text, names) };
  });

  app.post('/debug/audit', DEBUG, async () => debugBody(await engineSays(context, { call: 'debug-audit' }), names));

  app.get('/debug/leaks', DEBUG, async () => debugBody(await engineSays(context, { call: 'debug-leaks' }), names));

  app.get('/debug/flight_recorder', DEBUG, async () => engineSays(context, { call: 'debug-flight-recorder' }));

  app.get('/debug/blocks/:block', DEBUG, async (request) => {
    const { block } = request.params as { readonly block: string };
    if (!/^\d{1,9}$/.test(block))
      throw badRequest('block', `${block.slice(0, 32)} is not allowed; allowed: a block's number`);
    const events = await engineSays(context, { call: 'debug-block', block: Number(block) });
    return { block: Number(block), events: debugBody(events, names) };
  });

  for (const order of ['start', 'stop'])
    app.post(`/debug/profile/${order}`, ADMIN, async () => {
      throw notImplemented(
        `the CUDA profiler needs backend cuda; this server runs backend ${context.settings.backend}, which launches no kernels`,
      );
    });
}

/** What the gateway knows by itself, from shared memory: true while the engine hangs. */
function gatewayState({ link, nowMs, names, engineAnswerMs }: GatewayContext, calls: LiveCalls) {
  const { status } = link;
  const live = calls.list(nowMs());
  const summary =
    `the engine is ${link.state}, its loop was last seen to turn ${Math.round(link.silentMs)} ms ago, ` +
    `${link.live} requests are with it` +
    (link.stalledMs > engineAnswerMs ? `, no step has ended for ${Math.round(link.stalledMs)} ms` : '');
  return {
    state: link.state,
    summary,
    stalled_ms: link.stalledMs,
    engine_silent_ms: link.silentMs,
    engine_restarts: link.restarts,
    requests_with_engine: link.live,
    status: debugBody(statusOf(status), names) as object,
    oldest_calls: live.slice(0, LIVE_CALLS_SHOWN),
    calls: live.length,
  };
}

/** The getters of a page of shared memory as a plain object. */
function statusOf(status: GatewayContext['link']['status']): object {
  const { stepsDone, runningSequences, waitingSequences, swappedSequences, blocksTotal, blocksUsed } = status;
  const { blocksCached, outputTokens, engineNs, heartbeats, deviceLost, paceErrorP99Ns, paceErrorLastNs } = status;
  return {
    stepsDone,
    runningSequences,
    waitingSequences,
    swappedSequences,
    blocksTotal,
    blocksUsed,
    blocksCached,
    outputTokens,
    engineNs,
    heartbeats,
    deviceLost: deviceLost === 1,
    paceErrorP99Ns,
    paceErrorLastNs,
  };
}

type Answer = { readonly value: unknown } | { readonly problem: string };

/** The engine's answer, or why there is none. Throws what the engine says is wrong with the question. */
async function ask({ link, guard, engineAnswerMs }: GatewayContext, call: DebugCall): Promise<Answer> {
  let timer: NodeJS.Timeout | null = null;
  const silence = new Promise<Answer>((resolve) => {
    timer = guard.after('debug_timeout', engineAnswerMs, () =>
      resolve({ problem: `the engine's thread has not answered for ${engineAnswerMs} ms` }),
    );
  });
  const answer = link.admin(call).then(
    (value): Answer => ({ value }),
    (error: Error): Answer => {
      if (error instanceof EngineDownError) return { problem: 'the engine is not running' };
      throw badRequest(null, error.message);
    },
  );
  try {
    return await Promise.race([answer, silence]);
  } finally {
    clearTimeout(timer!);
    // It may still fail when nobody listens any more.
    answer.catch(() => {});
  }
}

async function engineSays(context: GatewayContext, call: DebugCall): Promise<unknown> {
  const answer = await ask(context, call);
  if ('value' in answer) return answer.value;
  throw new ApiError(
    503,
    'overloaded_error',
    'engine_silent',
    null,
    `${answer.problem}; GET /debug/state shows what is known`,
  );
}
