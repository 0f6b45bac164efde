import { describe, expect, it } from 'vitest';
import type { AdmissionConfig } from '../../../src/config/serve-config.ts';
import { type Admission, AdmissionBook, type EngineLoad } from '../../../src/gateway/limits/admission-book.ts';
import { type OverloadOptions, type OverloadResult, simulateOverload } from './overload-simulation.ts';

const CONFIG: AdmissionConfig = {
  waitingMax: 100,
  queueWaitMaxMs: 10_000,
  retryAfterMaxMs: 60_000,
  bookingsMax: 1000,
  predictedRequestMs: 1000,
  concurrency: 10,
};

const load = (waiting: number, running = 10): EngineLoad => ({ waiting, running, sequencesMax: 10 });

function retryAfterMs(admission: Admission): number {
  if (admission.admitted || admission.retryAfterMs === null) throw new Error('no slot was given');
  return admission.retryAfterMs;
}

describe('one request', () => {
  it('is admitted while there is room', () => {
    const book = new AdmissionBook(CONFIG);
    expect(book.arrive(0, 1, null, load(0, 0)).admitted).toBe(true);
    expect(book.arrive(0, 1, null, load(0)).admitted).toBe(true);
    expect(book.arrive(0, 1, null, load(50)).admitted).toBe(true);
  });

  it('is refused beyond the length of the queue', () => {
    const book = new AdmissionBook({ ...CONFIG, waitingMax: 5, queueWaitMaxMs: 1e6 });
    expect(book.arrive(0, 1, null, load(4)).admitted).toBe(true);
    expect(book.arrive(0, 2, null, load(5))).toMatchObject({ admitted: false, status: 429 });
  });

  it('is refused beyond the predicted wait, however long the queue may be', () => {
    const book = new AdmissionBook({ ...CONFIG, waitingMax: 1e6 });
    expect(book.arrive(0, 1, null, load(80)).admitted).toBe(true);
    // 10 a second are served: 100 waiting are 10 s.
    expect(book.arrive(0, 2, null, load(100))).toMatchObject({ admitted: false, status: 429 });
  });

  it('is admitted by an engine with a free place, however slow it is', () => {
    const book = new AdmissionBook({ ...CONFIG, waitingMax: 0, predictedRequestMs: 1e9 });
    expect(book.arrive(0, 1, null, load(0, 9)).admitted).toBe(true);
    expect(book.arrive(0, 2, null, load(0, 10)).admitted).toBe(false);
  });

  it('counts with all its sequences', () => {
    const book = new AdmissionBook({ ...CONFIG, waitingMax: 8 });
    expect(book.arrive(0, 1, null, load(0), 9).admitted).toBe(false);
    expect(book.arrive(0, 2, false, load(0, 0), 18).admitted).toBe(true);
  });

  it('gets no promise when it could never fit', () => {
    const book = new AdmissionBook({ ...CONFIG, waitingMax: 8 });
    expect(book.arrive(0, 1, null, load(0, 0), 19)).toEqual({ admitted: false, status: 503, retryAfterMs: null });
  });

  it('takes requests that are on their way to a free engine for no queue, until they are stuck', () => {
    const book = new AdmissionBook({ ...CONFIG, waitingMax: 1000, queueWaitMaxMs: 100 });
    expect(book.arrive(0, 1, null, load(9, 0)).admitted).toBe(true);
    expect(book.arrive(500, 2, null, load(9, 0)).admitted).toBe(true);
    // Nothing has begun for more than a second: memory is what limits, and nine wait.
    expect(book.arrive(1600, 3, null, load(9, 0)).admitted).toBe(false);
  });
});

describe('a refused request', () => {
  it('is admitted when it comes back at its time, ahead of newcomers', () => {
    const book = new AdmissionBook(CONFIG);
    const waitMs = retryAfterMs(book.arrive(0, 1, false, load(100)));
    // The queue is as full as newcomers may make it.
    expect(book.arrive(waitMs, 2, false, load(70)).admitted).toBe(false);
    expect(book.arrive(waitMs, 1, true, load(70)).admitted).toBe(true);
  });

  it('is known by its fingerprint even if the client says nothing', () => {
    const book = new AdmissionBook(CONFIG);
    const waitMs = retryAfterMs(book.arrive(0, 1, null, load(100)));
    expect(book.arrive(waitMs, 2, null, load(70)).admitted).toBe(false);
    expect(book.arrive(waitMs, 1, null, load(70)).admitted).toBe(true);
  });

  it('keeps its slot when it comes too early, and is told the rest of the wait', () => {
    const book = new AdmissionBook(CONFIG);
    const waitMs = retryAfterMs(book.arrive(0, 1, false, load(100)));
    expect(retryAfterMs(book.arrive(100, 1, true, load(100)))).toBe(waitMs - 100);
    expect(book.booked).toBe(1);
    expect(book.arrive(waitMs, 1, true, load(70)).admitted).toBe(true);
    expect(book.booked).toBe(0);
  });

  it('is known by its own word if nobody wanted its fingerprint when it was refused', () => {
    const book = new AdmissionBook(CONFIG);
    expect(book.wantsFingerprint).toBe(false);
    const waitMs = retryAfterMs(book.arrive(0, 0, false, load(100)));
    expect(book.wantsFingerprint).toBe(true);
    expect(book.arrive(waitMs, 7, null, load(70)).admitted).toBe(false);
    expect(book.arrive(waitMs, 8, true, load(70)).admitted).toBe(true);
  });

  it('uses a slot once', () => {
    const book = new AdmissionBook(CONFIG);
    const waitMs = retryAfterMs(book.arrive(0, 1, false, load(100)));
    expect(book.arrive(waitMs, 1, true, load(80)).admitted).toBe(true);
    book.arrive(waitMs, 2, false, load(85));
    expect(book.arrive(waitMs, 1, true, load(80)).admitted).toBe(false);
  });

  it('loses its slot when it does not come', () => {
    const book = new AdmissionBook(CONFIG);
    const waitMs = retryAfterMs(book.arrive(0, 1, false, load(100)));
    book.arrive(waitMs + 1900, 2, false, load(0));
    expect(book.booked).toBe(1);
    book.arrive(waitMs + 12_000, 3, false, load(0));
    expect(book.booked).toBe(0);
  });

  it('is asked for a little more patience, first in line, when there is no room after all', () => {
    const book = new AdmissionBook(CONFIG);
    const waitMs = retryAfterMs(book.arrive(0, 1, false, load(100)));
    const moreMs = retryAfterMs(book.arrive(waitMs, 1, true, load(86)));
    expect(moreMs).toBeLessThan(1000);
    expect(book.arrive(waitMs + moreMs, 1, true, load(84)).admitted).toBe(true);
  });

  it('waits longer the more were refused before it', () => {
    const book = new AdmissionBook(CONFIG);
    const waits = [1, 2, 3, 4, 5].map((client) => retryAfterMs(book.arrive(0, client, false, load(100))));
    for (let i = 1; i < waits.length; i++) expect(waits[i]! - waits[i - 1]!).toBeGreaterThan(100);
  });

  it('gets 503 and no promise beyond the longest wait, and beyond the bound of slots', () => {
    const far = new AdmissionBook({ ...CONFIG, retryAfterMaxMs: 5000 });
    const answers = Array.from({ length: 100 }, (_, client) => far.arrive(0, client + 1, false, load(90)));
    const promised = answers.filter((answer) => !answer.admitted && answer.status === 429);
    expect(promised.length).toBeGreaterThan(5);
    expect(Math.max(...promised.map(retryAfterMs))).toBeLessThanOrEqual(5000);
    expect(answers.at(-1)).toEqual({ admitted: false, status: 503, retryAfterMs: null });

    const full = new AdmissionBook({ ...CONFIG, bookingsMax: 2 });
    for (const client of [1, 2]) retryAfterMs(full.arrive(0, client, false, load(100)));
    expect(full.arrive(0, 3, false, load(100))).toEqual({ admitted: false, status: 503, retryAfterMs: null });
  });
});

describe('the rate of service', () => {
  it('is what was measured while requests waited', () => {
    const book = new AdmissionBook(CONFIG);
    for (let ms = 0; ms <= 20_000; ms += 50) {
      book.arrive(ms, 1, false, load(20));
      book.completed(ms);
    }
    expect(book.sequencesPerSecond).toBeGreaterThan(18);
    expect(book.sequencesPerSecond).toBeLessThan(22);
  });

  it('does not fall because an idle server completes little', () => {
    const book = new AdmissionBook(CONFIG);
    for (let ms = 0; ms <= 600_000; ms += 5000) {
      book.arrive(ms, 1, false, load(0, 1));
      book.completed(ms);
    }
    expect(book.sequencesPerSecond).toBe(10);
  });
});

const exponential = (meanMs: number) => (random: () => number) => -Math.log(1 - random()) * meanMs;
/** Box-Muller; coefficient of variation 1.66 at a sigma of 1.15. */
const lognormal = (meanMs: number, sigma: number) => (random: () => number) => {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return meanMs * Math.exp(sigma * normal - sigma ** 2 / 2);
};

const OVERLOAD_MS = 60_000;
/** 32 a second are served; ten times as many come for a minute, then a tenth. */
const TENFOLD: OverloadOptions = {
  seed: 'overload',
  servers: 32,
  serviceMs: exponential(1000),
  ratePerS: (ms) => (ms < OVERLOAD_MS ? 320 : 3.2),
  untilMs: 200_000,
  book: { queueWaitMaxMs: 5000 },
  returnShare: 1,
  wholeSecondsShare: 0.5,
  marks: [false, true],
};

function admittedShare(result: OverloadResult): number {
  return result.returnedAdmitted / result.returned;
}

function lateShare(result: OverloadResult, boundMs: number): number {
  return result.waitsMs.filter((waitMs) => waitMs > boundMs).length / result.waitsMs.length;
}

describe('a minute of ten times the load', () => {
  it.each([
    ['exponential service', {}],
    ['another seed', { seed: 'another' }],
    ['long-tailed service', { serviceMs: lognormal(1000, 1.15) }],
    ['service of fixed length', { serviceMs: () => 1000 }],
    ['clients that say nothing', { marks: [null, null] as const }],
    ['equal bodies of clients that count their tries', { equalBodies: true }],
    ['clients that wait whole seconds', { wholeSecondsShare: 1 }],
    ['a queue bounded by its length', { book: { waitingMax: 64 } }],
    ['a prediction three times too slow', { book: { queueWaitMaxMs: 5000, predictedRequestMs: 3000 } }],
    [
      'few slow servers',
      {
        servers: 4,
        serviceMs: exponential(2000),
        ratePerS: (ms: number) => (ms < OVERLOAD_MS ? 20 : 0.2),
        book: { queueWaitMaxMs: 5000, predictedRequestMs: 2000 },
      },
    ],
    ['half of the clients give up', { returnShare: 0.5 }],
  ] as [string, Partial<OverloadOptions>][])(
    '%s: who waits once is admitted, and 99 of 100 wait within the bound',
    (_what, changes) => {
      const result = simulateOverload({ ...TENFOLD, ...changes });
      expect(result.returned).toBeGreaterThan(100);
      expect(admittedShare(result)).toBeGreaterThanOrEqual(0.9);
      // What is bounded is the predicted wait: what four servers take for ten requests spreads by a third around it.
      expect(lateShare(result, 5000)).toBeLessThanOrEqual(changes.servers === undefined ? 0.01 : 0.05);
      expect(result.completed).toBe(result.admittedAtOnce + result.returnedAdmitted);
      expect(result.arrived).toBe(result.admittedAtOnce + result.booked + result.bookedOut);
      expect(result.busyShare(5000, OVERLOAD_MS)).toBeGreaterThan(0.98);
      expect(result.bookingsPeak).toBeLessThan(10_000);
    },
  );

  it('keeps the engine busy if nobody comes back', () => {
    const result = simulateOverload({ ...TENFOLD, returnShare: 0 });
    expect(result.busyShare(5000, OVERLOAD_MS)).toBeGreaterThan(0.98);
  });

  it('is over for newcomers one drain time after it ends', () => {
    const result = simulateOverload(TENFOLD);
    expect(result.refusalsFrom(OVERLOAD_MS - 1000)).toBeGreaterThan(0);
    // Slots are booked at most a minute ahead, and newcomers add a tenth to what is served meanwhile.
    expect(result.refusalsFrom(OVERLOAD_MS + 70_000)).toBe(0);
  });

  it('serves everybody when slots may lie far ahead', () => {
    const result = simulateOverload({
      ...TENFOLD,
      untilMs: 1_000_000,
      book: { queueWaitMaxMs: 5000, retryAfterMaxMs: 700_000 },
    });
    expect(result.bookedOut).toBe(0);
    expect(admittedShare(result)).toBeGreaterThanOrEqual(0.99);
  });

  it('remembers no more than the bound of slots', () => {
    const result = simulateOverload({ ...TENFOLD, book: { queueWaitMaxMs: 5000, bookingsMax: 200 } });
    expect(result.bookingsPeak).toBe(200);
    expect(admittedShare(result)).toBeGreaterThanOrEqual(0.9);
  });

  it('recovers from a prediction four times too fast', () => {
    const result = simulateOverload({ ...TENFOLD, book: { queueWaitMaxMs: 5000, predictedRequestMs: 250 } });
    expect(admittedShare(result)).toBeGreaterThanOrEqual(0.9);
    const later = result.waitsMs.slice(Math.floor(result.waitsMs.length / 3));
    expect(Math.max(...later)).toBeLessThanOrEqual(5000);
  });
});
