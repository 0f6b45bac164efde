import {
  type Engine,
  NONE,
  type Sequence,
  type SequenceState,
  type StepPlan,
  type WaitingQueue,
  type WaitReason,
} from '../../core/index.ts';
import { type AuditReport, auditBlocks, type HolderMemory, type HolderName, isClean } from '../audit/block-audit.ts';
import { verdictOf } from './verdict.ts';

/** A sequence at the head of a queue, and what it waits for. */
export interface WaitingHead extends HolderName {
  readonly queue: Exclude<SequenceState, 'running' | 'finished'>;
  /** Of the first of the queue, by the last plan; held siblings wait for their leader's prompt. null: it is behind the first. */
  readonly waitsFor: WaitReason | 'leader' | null;
  readonly ageNs: number;
  readonly waitingNs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly preemptions: number;
  /** Blocks that its known tokens fill, or that the last try to admit it asked for. */
  readonly blocksNeeded: number;
}

/** A sequence that holds blocks. */
export interface BlockHolder extends HolderName {
  readonly state: Sequence['state'];
  readonly blocks: number;
  readonly ageNs: number;
  readonly runningNs: number;
  readonly outputTokens: number;
  readonly outputTokensMax: number;
  /** Since its last token; null before the first. */
  readonly lastTokenAgeNs: number | null;
  readonly stepsInFlight: number;
  readonly failures: number;
}

export interface StepInFlight {
  readonly stepId: number;
  readonly ageNs: number;
  readonly rows: number;
  readonly prefillTokens: number;
  readonly decodeTokens: number;
}

/** What the engine is doing, and why it does not go on: plain data, without any text or token of users. */
export interface Diagnosis {
  readonly timeNs: number;
  /** One sentence: what everything waits for. */
  readonly verdict: string;
  readonly refusal: 'draining' | 'device-lost' | null;
  readonly recovering: boolean;
  readonly stepsDone: number;
  /** Since the last submission ended; null before the first. */
  readonly lastStepAgeNs: number | null;
  readonly inFlight: readonly StepInFlight[];
  readonly requests: number;
  readonly running: number;
  readonly waiting: number;
  readonly swapped: number;
  readonly held: number;
  readonly limits: {
    readonly sequences: number;
    readonly tokensPerStep: number;
    readonly watermarkBlocks: number;
    readonly capacity: string;
  };
  readonly blocks: {
    readonly total: number;
    readonly used: number;
    readonly available: number;
    readonly cached: number;
    readonly fenced: number;
    readonly orphaned: number;
    readonly mismatched: number;
    readonly hostAvailable: number;
    readonly hostTotal: number;
  };
  readonly heads: readonly WaitingHead[];
  /** Most blocks first. */
  readonly topHolders: readonly BlockHolder[];
  /** Oldest arrival first. */
  readonly oldest: readonly BlockHolder[];
  /** Of the audit: what it found. */
  readonly findings: AuditReport['findings'];
}

const HEADS = 3;
const HOLDERS = 8;
const OLDEST = 5;
const FINDINGS = 10;

/**
 * Why the engine is where it is. A pure look: changes nothing and throws nothing, at any moment between two calls of the
 * engine. O(blocks + sequences), so for people and reports, not for every step. `nowNs`: a virtual clock stands still while
 * nothing happens; a caller that knows better says how late it is.
 */
export function diagnose(
  engine: Engine,
  memory: HolderMemory | null = null,
  nowNs: number = engine.clock.nowNs(),
): Diagnosis {
  const { scheduler, kv, config } = engine;
  const audit = auditBlocks(engine, memory, FINDINGS);
  const running = scheduler.running.map((sequence) => holder(sequence, nowNs));
  const facts = {
    timeNs: nowNs,
    refusal: engine.refusal,
    recovering: engine.recovering,
    stepsDone: engine.stepsDone,
    lastStepAgeNs: engine.lastEndNs === NONE ? null : nowNs - engine.lastEndNs,
    inFlight: engine.inFlight.map((plan) => inFlight(plan, nowNs)),
    requests: engine.requests.size,
    running: scheduler.running.length,
    waiting: scheduler.waiting.size,
    swapped: scheduler.swapped.size,
    held: engine.held,
    limits: {
      sequences: config.sequencesMax,
      tokensPerStep: config.tokensPerStepMax,
      watermarkBlocks: Math.floor(config.watermarkRatio * config.blocksTotal),
      capacity: config.capacity,
    },
    blocks: {
      total: kv.pool.total,
      used: kv.pool.used,
      available: kv.pool.available,
      cached: kv.blocksCached,
      fenced: kv.pool.fenced,
      orphaned: audit.orphaned,
      mismatched: audit.mismatched,
      hostAvailable: kv.hostAvailable,
      hostTotal: kv.hostTotal,
    },
    heads: heads(engine, nowNs),
    topHolders: running.toSorted((a, b) => b.blocks - a.blocks).slice(0, HOLDERS),
    oldest: running.toSorted((a, b) => b.ageNs - a.ageNs).slice(0, OLDEST),
    findings: isClean(audit) ? [] : audit.findings,
  };
  return { verdict: verdictOf(facts), ...facts };
}

function inFlight(plan: StepPlan, nowNs: number): StepInFlight {
  const { stepId, rows, prefillTokens, decodeTokens } = plan;
  return { stepId, ageNs: nowNs - plan.plannedNs, rows, prefillTokens, decodeTokens };
}

function holder(sequence: Sequence, nowNs: number): BlockHolder {
  return {
    request: sequence.request.id,
    index: sequence.index,
    state: sequence.state,
    blocks: sequence.blocks,
    ageNs: nowNs - sequence.request.arrivalNs,
    runningNs: sequence.admittedNs === NONE ? 0 : nowNs - sequence.admittedNs,
    outputTokens: sequence.outputTokens,
    outputTokensMax: sequence.outputTokensMax,
    lastTokenAgeNs: sequence.lastTokenNs === NONE ? null : nowNs - sequence.lastTokenNs,
    stepsInFlight: sequence.inFlight,
    failures: sequence.failures,
  };
}

function heads(engine: Engine, nowNs: number): WaitingHead[] {
  const { scheduler } = engine;
  // Swapped sequences go first: as long as one waits, nobody is admitted.
  const swapped = headsOf(engine, scheduler.swapped, 'swapped', scheduler.waitReason, nowNs);
  const first = swapped.length === 0 ? scheduler.waitReason : null;
  const waiting = headsOf(engine, scheduler.waiting, 'waiting', first, nowNs);
  return [...swapped, ...waiting, ...heldHeads(engine, nowNs)];
}

function headsOf(
  engine: Engine,
  queue: Pick<WaitingQueue, 'size' | 'takeInOrder'>,
  name: 'waiting' | 'swapped',
  reason: WaitReason | null,
  nowNs: number,
): WaitingHead[] {
  const found = new Array<Sequence>(Math.min(HEADS, queue.size));
  queue.takeInOrder(HEADS, found);
  return found.map((sequence, i) => head(engine, sequence, name, i === 0 ? reason : null, nowNs));
}

function heldHeads(engine: Engine, nowNs: number): WaitingHead[] {
  const found: WaitingHead[] = [];
  if (engine.held === 0) return found;
  for (const leader of engine.requests.values()) {
    for (const sibling of leader.siblings ?? []) {
      if (sibling.state !== 'held') continue;
      found.push(head(engine, sibling, 'held', 'leader', nowNs));
      if (found.length === HEADS) return found;
    }
  }
  return found;
}

function head(
  engine: Engine,
  sequence: Sequence,
  queue: WaitingHead['queue'],
  waitsFor: WaitingHead['waitsFor'],
  nowNs: number,
): WaitingHead {
  const tried = sequence.triedStep !== NONE && sequence.blocksWanted > 0;
  return {
    request: sequence.request.id,
    index: sequence.index,
    queue,
    waitsFor,
    ageNs: nowNs - sequence.request.arrivalNs,
    waitingNs: nowNs - sequence.waitingSinceNs,
    promptTokens: sequence.promptTokens,
    outputTokens: sequence.outputTokens,
    preemptions: sequence.preemptions,
    blocksNeeded: tried ? sequence.blocksWanted : engine.kv.blocksFor(sequence.knownTokens),
  };
}
