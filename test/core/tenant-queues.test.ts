import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/core/errors.ts';
import { checkEngine } from '../../src/core/invariants.ts';
import { Request } from '../../src/core/request.ts';
import { Sequence } from '../../src/core/sequence.ts';
import { TenantQueues } from '../../src/core/tenant-queues.ts';
import { NO_SINK } from '../../src/core/token-sink.ts';
import { ArrayTokens } from '../../src/core/token-source.ts';
import { EngineRig } from '../support/engine-rig.ts';

const PROMPT = new ArrayTokens(Int32Array.from([1]));

function sequenceOf(tenant: number, arrivalOrder: number, orderKey = 0): Sequence {
  const request = new Request(arrivalOrder, 0, { prompt: PROMPT, outputTokensMax: 1, tenant });
  const sequence = new Sequence(request, 0, NO_SINK, arrivalOrder, null, 16);
  sequence.orderKey = orderKey;
  return sequence;
}

/** The specification: takes, again and again, the first by (order key, running sequences of its tenant, arrival). */
function inOrder(waiting: readonly Sequence[], running: readonly Sequence[]): Sequence[] {
  const left = [...waiting];
  const runs = (tenant: number, of: readonly Sequence[]) => of.filter((each) => each.request.tenant === tenant).length;
  const taken: Sequence[] = [];
  while (left.length > 0) {
    const rank = (each: Sequence) => runs(each.request.tenant, running) + runs(each.request.tenant, taken);
    left.sort((a, b) => a.orderKey - b.orderKey || rank(a) - rank(b) || a.arrivalOrder - b.arrivalOrder);
    taken.push(left.shift()!);
  }
  return taken;
}

const command = fc.oneof(
  fc.record({ do: fc.constant('push' as const), tenant: fc.nat(3), key: fc.constantFrom(0, 0, 0, 1) }),
  fc.record({ do: fc.constant('admit' as const), at: fc.nat(5) }),
  fc.record({ do: fc.constantFrom('preempt' as const, 'end' as const, 'abort' as const), at: fc.nat() }),
);

describe('the queues of tenants', () => {
  it('behave as an array that is sorted by the running sequences of each tenant before every look', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), fc.nat(12), (commands, count) => {
        const queues = new TenantQueues();
        const waiting: Sequence[] = [];
        const running: Sequence[] = [];
        const take = (from: Sequence[], sequence: Sequence) => from.splice(from.indexOf(sequence), 1)[0]!;
        commands.forEach((each, i) => {
          if (each.do === 'push') {
            const sequence = sequenceOf(each.tenant, i, each.key);
            waiting.push(sequence);
            queues.push(sequence);
          } else if (each.do === 'admit' || each.do === 'abort') {
            const sequence = inOrder(waiting, running)[each.at % Math.max(1, waiting.length)];
            if (sequence === undefined) return;
            queues.remove(take(waiting, sequence));
            if (each.do === 'admit') {
              running.push(sequence);
              queues.entered(sequence);
            }
          } else {
            const sequence = running[each.at % Math.max(1, running.length)];
            if (sequence === undefined) return;
            queues.left(take(running, sequence));
            if (each.do === 'preempt') {
              waiting.push(sequence);
              queues.push(sequence);
            }
          }
          const expected = inOrder(waiting, running);
          const into: Sequence[] = [];
          expect(queues.size).toBe(waiting.length);
          expect(queues.peek()).toBe(expected[0] ?? null);
          expect(queues.takeInOrder(count, into)).toBe(Math.min(count, waiting.length));
          expect(into.map(({ arrivalOrder }) => arrivalOrder)).toEqual(
            expected.slice(0, count).map(({ arrivalOrder }) => arrivalOrder),
          );
          expect(waiting.every((sequence) => queues.has(sequence))).toBe(true);
          expect(running.some((sequence) => queues.has(sequence))).toBe(false);
          queues.check(running);
        });
      }),
      { numRuns: 200 },
    );
  });

  it('see a running sequence that is counted for no tenant', () => {
    const queues = new TenantQueues();
    expect(() => queues.check([sequenceOf(1, 0)])).toThrow(InvariantError);
  });
});

const arrival = fc.record({
  tenant: fc.integer({ min: 1, max: 3 }),
  step: fc.nat(40),
  promptTokens: fc.integer({ min: 1, max: 12 }),
  outputTokensMax: fc.integer({ min: 1, max: 30 }),
  abortStep: fc.option(fc.nat(60), { freq: 5 }),
});

describe('the batch', () => {
  it('goes to the tenant with the fewest running sequences; each sequence ends once', () => {
    const reached = { contended: 0, lone: 0 };
    fc.assert(
      fc.property(fc.array(arrival, { minLength: 1, maxLength: 40 }), (arrivals) => {
        const runningOf = (tenant: number) =>
          rig.engine.scheduler.running.filter(({ request }) => request.tenant === tenant).length;
        const rig = new EngineRig({
          config: { blocksTotal: 256, sequencesMax: 4 },
          onAdmitted: ({ request: { tenant } }) => {
            const queued = [...rig.engine.requests.values()].filter(({ state }) => state === 'waiting');
            const others = queued.filter(({ request }) => request.tenant !== tenant);
            for (const { request } of others)
              expect(runningOf(request.tenant)).toBeGreaterThanOrEqual(runningOf(tenant) - 1);
            if (others.length > 0) reached.contended++;
            // A lone tenant may fill the batch.
            else if (runningOf(tenant) === 4) reached.lone++;
          },
        });
        for (let step = 0; step <= 60; step++) {
          arrivals.forEach(({ tenant, promptTokens, outputTokensMax, ...at }, id) => {
            const prompt = Array.from({ length: promptTokens }, (_, i) => id * 100 + i);
            if (at.step === step) rig.submit({ prompt, outputTokensMax, tenant }, id);
            if (at.abortStep === step) rig.engine.abort(id);
          });
          rig.step();
          checkEngine(rig.engine);
        }
        rig.finish();
        expect([...rig.heard.values()].map(({ ends }) => ends.length)).toEqual(arrivals.map(() => 1));
      }),
      { numRuns: 100 },
    );
    expect(Object.entries(reached).filter(([, count]) => count === 0)).toEqual([]);
  });
});
