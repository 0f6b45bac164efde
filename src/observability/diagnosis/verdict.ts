import type { Diagnosis, WaitingHead } from './diagnose.ts';

/** What everything waits for, in one sentence. */
export function verdictOf(facts: Omit<Diagnosis, 'verdict'>): string {
  const { inFlight, running, waiting, swapped, held, refusal } = facts;
  const queued = running + waiting + swapped + held;
  if (refusal === 'device-lost')
    return 'the device is lost: every request is refused until the engine is started again';
  const oldest = inFlight[0];
  if (oldest !== undefined) {
    const step = `step ${oldest.stepId} (${oldest.rows} rows) has been with the device for ${seconds(oldest.ageNs)}`;
    if (facts.recovering) return `${step}; a step before it failed, nothing is planned until it is back`;
    return queueOf(facts) === '' ? step : `${step}; ${queueOf(facts)}`;
  }
  if (queued === 0) {
    if (facts.blocks.used > 0) return `idle, but ${facts.blocks.used} blocks are in use: ${lost(facts)}`;
    return 'idle: nothing runs and nothing waits';
  }
  return `no step is in flight although ${queued} sequences are here; ${queueOf(facts) || 'the next plan has not been made'}`;
}

function queueOf(facts: Omit<Diagnosis, 'verdict'>): string {
  const first = facts.heads.find((head) => head.queue !== 'held');
  if (first === undefined) return '';
  const others = facts.waiting + facts.swapped;
  return `${others} wait, the first for ${wanted(first, facts)}`;
}

function wanted(head: WaitingHead, facts: Omit<Diagnosis, 'verdict'>): string {
  const { blocks, limits } = facts;
  const need = `${head.blocksNeeded} blocks; ${blocks.available} of ${blocks.total} are available`;
  const gone = blocks.orphaned + blocks.mismatched > 0 ? ` and ${lost(facts)}` : '';
  switch (head.waitsFor) {
    case 'blocks':
      return need + gone;
    case 'watermark':
      return `${need}, of which the watermark keeps ${limits.watermarkBlocks}${gone}`;
    case 'overcommit':
      return `${need}, and those that run may still need them${gone}`;
    case 'budget':
      return `room in a step of ${limits.tokensPerStep} tokens`;
    case 'sequences':
      return `one of ${limits.sequences} places in the batch`;
    case 'preempted-this-step':
      return 'the next step: somebody was preempted in the last plan';
    case 'in-flight':
      return 'blocks that a step in flight may still write to';
    default:
      return 'the next plan';
  }
}

function lost({ blocks }: Omit<Diagnosis, 'verdict'>): string {
  if (blocks.orphaned + blocks.mismatched === 0) return 'the audit finds nothing wrong with them';
  return `${blocks.orphaned} are orphaned and ${blocks.mismatched} have wrong reference counts (see the leak report)`;
}

export function seconds(ns: number): string {
  return ns >= 1e9 ? `${(ns / 1e9).toFixed(1)} s` : `${(ns / 1e6).toFixed(1)} ms`;
}
