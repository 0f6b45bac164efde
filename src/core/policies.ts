import type { CapacityPolicy, EngineConfig } from './engine-config.ts';
import type { PreemptionReason } from './events.ts';
import type { OvercommitRatio } from './overcommit.ts';
import type { Sequence } from './sequence.ts';

/** Policies are pure functions of what a real server can know: never of the true output length. */

/**
 * Tokens that a sequence must have room for, under a capacity policy, before it may be admitted or others beside it.
 * `draftSlots`: what a step may write beyond the text (drafts and lookahead), which a guarantee has to cover.
 */
export function reservedTokens(
  policy: CapacityPolicy,
  sequence: Sequence,
  overcommit: OvercommitRatio,
  draftSlots: number,
): number {
  switch (policy) {
    case 'as-needed':
      return 0;
    case 'reserve-prompt':
      return sequence.knownTokens;
    case 'guaranteed-no-evict':
      return sequence.promptTokens + sequence.outputTokensMax + draftSlots;
    case 'overcommit':
      return sequence.knownTokens + overcommit.share(sequence.outputTokensMax - sequence.outputTokens);
  }
}

/** Index in running[0 .. count) of the sequence to preempt. `running` is in order of admission. */
export function chooseVictim(running: readonly Sequence[], count: number, config: EngineConfig, nowNs: number): number {
  if (config.victim === 'cost') return cheapestVictim(running, count, config, nowNs);
  if (config.order === 'fcfs') return count - 1;
  let worst = 0;
  for (let i = 1; i < count; i++) if (ordersAfter(running[i]!, running[worst]!)) worst = i;
  return worst;
}

/** Whether `a` is served after `b` in the engine's order. */
export function ordersAfter(a: Sequence, b: Sequence): boolean {
  return a.orderKey !== b.orderKey ? a.orderKey > b.orderKey : a.arrivalOrder > b.arrivalOrder;
}

/**
 * The least urgent, then the cheapest to bring back: tokens to compute again, times the time that it has been in the
 * system, so that old requests are spared. Sequences preempted `preemptionsMax` times are taken only when all are, and
 * then by the tail: the first of them in the order always gets through.
 */
function cheapestVictim(running: readonly Sequence[], count: number, config: EngineConfig, nowNs: number): number {
  const byPriority = config.order === 'priority';
  let best = -1;
  let bestCost = 0;
  let tail = 0;
  for (let i = 0; i < count; i++) {
    const sequence = running[i]!;
    if (ordersAfter(sequence, running[tail]!)) tail = i;
    if (config.preemptionsMax > 0 && sequence.preemptions >= config.preemptionsMax) continue;
    const cost = (sequence.computedTokens + 1) * (nowNs - sequence.request.arrivalNs + 1);
    if (best < 0 || isBetterVictim(sequence, cost, running[best]!, bestCost, byPriority)) {
      best = i;
      bestCost = cost;
    }
  }
  return best < 0 ? tail : best;
}

function isBetterVictim(a: Sequence, costA: number, b: Sequence, costB: number, byPriority: boolean): boolean {
  if (byPriority && a.request.priority !== b.request.priority) return a.request.priority > b.request.priority;
  if (costA !== costB) return costA < costB;
  return a.arrivalOrder > b.arrivalOrder;
}

/** Blocks ran out for `beneficiary`; the reason is priority when the victim only lost because it is less urgent. */
export function preemptionReason(victim: Sequence, beneficiary: Sequence, config: EngineConfig): PreemptionReason {
  return config.order === 'priority' && victim.request.priority > beneficiary.request.priority
    ? 'priority'
    : 'memory_pressure';
}
