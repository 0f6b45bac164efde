import seedrandom from 'seedrandom';
import { describe, expect, it } from 'vitest';
import { AdmissionBook, type Load } from '../../../src/gateway/limits/admission-book.ts';

const OPTIONS = { waitingMax: 1000, queueWaitMaxMs: 2000, retryAfterMaxMs: 900_000, rateGuess: 10 };

interface Outcome {
  accepted: number;
  refused: number;
  waitsMs: number[];
  retried: number;
  retriedAdmitted: number;
  bookedMax: number;
  /** When the last client had its answer. */
  endMs: number;
}

interface World {
  readonly seed: string;
  readonly servers: number;
  readonly serviceMs: number;
  readonly arrivalsPerSecond: (timeMs: number) => number;
  readonly durationMs: number;
  /** Share of refused clients that come back, once. */
  readonly returns: number;
  /** Clients that read only whole seconds. */
  readonly wholeSeconds: boolean;
}

/** A server with `servers` places and a queue in order of arrival, in virtual time; service times are uniform around the mean. */
function simulate(world: World): Outcome {
  const random = seedrandom(world.seed);
  const book = new AdmissionBook(OPTIONS);
  const outcome: Outcome = {
    accepted: 0,
    refused: 0,
    waitsMs: [],
    retried: 0,
    retriedAdmitted: 0,
    bookedMax: 0,
    endMs: 0,
  };
  const events: { atMs: number; kind: 'arrive' | 'end'; client: number; retry: boolean }[] = [];
  const queue: { sinceMs: number }[] = [];
  let running = 0;
  let clients = 0;
  const add = (event: (typeof events)[number]) => {
    let at = events.length;
    while (at > 0 && events[at - 1]!.atMs < event.atMs) at--;
    events.splice(at, 0, event);
  };
  const load = (): Load => ({ waiting: queue.length, running, sequencesMax: world.servers });
  const serve = (nowMs: number) => {
    while (running < world.servers && queue.length > 0) {
      outcome.waitsMs.push(nowMs - queue.shift()!.sinceMs);
      running++;
      add({ atMs: nowMs + world.serviceMs * (0.5 + random()), kind: 'end', client: -1, retry: false });
    }
  };
  const nextArrival = (nowMs: number) => {
    const rate = world.arrivalsPerSecond(nowMs);
    const atMs = nowMs - (Math.log(1 - random()) * 1000) / rate;
    if (atMs < world.durationMs) add({ atMs, kind: 'arrive', client: clients++, retry: false });
  };
  nextArrival(0);
  for (let event = events.pop(); event !== undefined; event = events.pop()) {
    const nowMs = event.atMs;
    outcome.endMs = nowMs;
    if (event.kind === 'end') {
      running--;
      book.completed(nowMs, load());
      serve(nowMs);
      continue;
    }
    if (!event.retry) nextArrival(nowMs);
    else outcome.retried++;
    const admission = book.arrive(nowMs, () => event.client, load());
    outcome.bookedMax = Math.max(outcome.bookedMax, book.booked);
    if (admission.admitted) {
      outcome.accepted++;
      if (event.retry) outcome.retriedAdmitted++;
      queue.push({ sinceMs: nowMs });
      serve(nowMs);
      continue;
    }
    outcome.refused++;
    if (event.retry || random() >= world.returns) continue;
    const waitMs = world.wholeSeconds ? Math.ceil(admission.retryAfterMs / 1000) * 1000 : admission.retryAfterMs;
    add({ atMs: nowMs + waitMs, kind: 'arrive', client: event.client, retry: true });
  }
  return outcome;
}

const CAPACITY = 20; // 40 places, 2 s each
const base = { servers: 40, serviceMs: 2000, durationMs: 90_000 };
/** Half the capacity, but ten times the capacity from 10 s to 70 s. */
const overload = (timeMs: number) => (timeMs >= 10_000 && timeMs < 70_000 ? 10 * CAPACITY : CAPACITY / 2);
const quantile = (values: number[], q: number) => values.sort((a, b) => a - b)[Math.floor(q * (values.length - 1))]!;

describe('the admission book', () => {
  it.each([
    ['whole seconds', true],
    ['milliseconds', false],
  ])(
    'admits at least 90 % of the clients that wait once, ten times overloaded for a minute (%s)',
    (_name, wholeSeconds) => {
      const outcome = simulate({ ...base, seed: 'all-return', arrivalsPerSecond: overload, returns: 1, wholeSeconds });
      expect(outcome.retried).toBeGreaterThan(5000);
      expect(outcome.retriedAdmitted / outcome.retried).toBeGreaterThanOrEqual(0.9);
      expect(quantile(outcome.waitsMs, 0.99)).toBeLessThan(1.5 * OPTIONS.queueWaitMaxMs);
    },
  );

  it('wastes little capacity on clients that never come back', () => {
    const outcome = simulate({ ...base, seed: 'nobody', arrivalsPerSecond: overload, returns: 0, wholeSeconds: true });
    // A minute of overload could serve 60 * CAPACITY at the most.
    expect(outcome.accepted).toBeGreaterThan(0.8 * 60 * CAPACITY);
    expect(quantile(outcome.waitsMs, 0.99)).toBeLessThan(1.5 * OPTIONS.queueWaitMaxMs);
  });

  it('is back to normal one drain time after an overload nobody came back from', () => {
    const rate = (timeMs: number) => (timeMs < 30_000 ? 10 * CAPACITY : CAPACITY / 2);
    const refusedLate = simulate({
      ...base,
      seed: 'late',
      durationMs: 36_000,
      arrivalsPerSecond: rate,
      returns: 0,
      wholeSeconds: true,
    }).refused;
    const refusedLater = simulate({
      ...base,
      seed: 'late',
      durationMs: 90_000,
      arrivalsPerSecond: rate,
      returns: 0,
      wholeSeconds: true,
    }).refused;
    expect(refusedLater - refusedLate).toBeLessThan(0.02 * 54 * (CAPACITY / 2));
  });

  it('refuses nobody below capacity', () => {
    const outcome = simulate({
      ...base,
      seed: 'calm',
      arrivalsPerSecond: () => 0.7 * CAPACITY,
      returns: 1,
      wholeSeconds: true,
    });
    expect(outcome.refused).toBe(0);
  });

  it('gives no slot beyond the longest Retry-After, and says 503', () => {
    const book = new AdmissionBook({ ...OPTIONS, retryAfterMaxMs: 5000, rateGuess: 1 });
    const full = { waiting: 100, running: 4, sequencesMax: 4 };
    const answers = Array.from({ length: 20 }, (_, i) => book.arrive(1000, () => i, full));
    const last = answers[19]!;
    expect(last).toEqual({ admitted: false, status: 503, retryAfterMs: 5000 });
    expect(book.booked).toBeLessThan(20);
  });

  it('keeps the slot of a client that asks again too early', () => {
    const book = new AdmissionBook(OPTIONS);
    const full = { waiting: 1000, running: 4, sequencesMax: 4 };
    const first = book.arrive(0, () => 7, full);
    const second = book.arrive(1000, () => 7, full);
    expect(first.admitted || second.admitted).toBe(false);
    if (!first.admitted && !second.admitted) expect(second.retryAfterMs).toBe(first.retryAfterMs - 1000);
    expect(book.booked).toBe(1);
  });
});
