import { InvariantError } from '../../src/core/index.ts';
import { name, type Received, type RunOutcome } from './run-schedule.ts';
import type { Schedule } from './schedule.ts';
import type { PreparedRequest } from './schedule-requests.ts';

/** A sequence got other tokens, or another end, than the serial run of its request. */
export class EquivalenceError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EquivalenceError';
  }
}

/**
 * Each sequence has the serial run's tokens, all of them unless somebody cut it short, and exactly one reason that somebody
 * caused. Throws EquivalenceError.
 */
export function assertEqualsSerialRun(schedule: Schedule, outcome: RunOutcome): void {
  for (const own of outcome.received) assertOne(schedule, outcome.prepared[own.request]!, own);
}

function assertOne(schedule: Schedule, { spec, request, expected }: PreparedRequest, own: Received): void {
  const serial = expected[own.index]!;
  own.tokens.forEach((token, i) => {
    if (token === serial.tokens[i]) return;
    throw new EquivalenceError(`${name(own)}: token ${i} is ${token}, in a serial run ${serial.tokens[i]}`);
  });
  const whole = own.tokens.length === serial.tokens.length;
  const faults = schedule.transientPerMille + schedule.stickyPerMille + schedule.deviceLostPerMille > 0;
  const allowed = {
    stop: (whole && serial.reason === 'stop') || spec.finishNs !== null,
    length: whole && serial.reason === 'length',
    abort: spec.abortNs !== null,
    timeout: Number.isFinite(request.deadlineNs),
    error: faults,
    rejected: own.tokens.length === 0,
  };
  if (own.reason === null) throw new EquivalenceError(`${name(own)} never ended; it has ${own.tokens.length} tokens`);
  if (!allowed[own.reason]) {
    throw new EquivalenceError(
      `${name(own)} ended as ${own.reason} with ${own.tokens.length} tokens, a serial run as ${serial.reason} with ${serial.tokens.length}`,
    );
  }
}

/** Nothing is left of any request: blocks, host blocks, slots, fences. Throws InvariantError. */
export function assertNothingLeft({ engine }: RunOutcome): void {
  const { kv, config, scheduler } = engine;
  const { freeSlotCount } = scheduler as unknown as { readonly freeSlotCount: number };
  const laws: [string, number, number][] = [
    ['live requests', engine.requests.size, 0],
    ['held siblings', engine.held, 0],
    ['submissions out', engine.inFlight.length, 0],
    ['available blocks', kv.pool.available, config.blocksTotal],
    ['fenced blocks', kv.pool.fenced, 0],
    ['free host blocks', kv.hostAvailable, config.hostBlocksTotal],
    ['free slots', freeSlotCount, config.sequencesMax],
    ['drafts without a verdict', scheduler.speculation?.pending ?? 0, 0],
  ];
  for (const [law, actual, expected] of laws) {
    if (actual !== expected) throw new InvariantError(`${law} at the end`, `${actual}, not ${expected}`);
  }
  engine.check(engine.clock.nowNs());
}
