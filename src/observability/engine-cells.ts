import {
  HOST_PHASES,
  type HostPhase,
  PREEMPTION_REASONS,
  type PreemptionReason,
  REJECTION_REASONS,
  type RejectionReason,
} from '../core/index.ts';
import type { MetricsPage } from './metrics-page.ts';
import type { PageHistogram } from './page-histogram.ts';

/** Where the engine's series lie on a page, looked up once: the hot path knows no names. */
export class EngineCells {
  readonly running: number;
  readonly waiting: number;
  readonly swapped: number;
  readonly received: number;
  readonly failedSteps: number;
  readonly blocksTotal: number;
  readonly blocksUsed: number;
  readonly blocksCached: number;
  readonly orphaned: number;
  readonly mismatched: number;
  readonly audits: number;
  readonly entries: number;
  readonly hits: number;
  readonly misses: number;
  readonly hitRate: number;
  readonly evictions: number;
  readonly prefillTokens: number;
  readonly decodeTokens: number;
  readonly accepted: number;
  readonly rejectedDrafts: number;
  readonly proposed: number;
  readonly acceptanceRate: number;
  readonly forwardPrefill: number;
  readonly forwardDecode: number;
  readonly forwardMixed: number;
  readonly iterations: number;
  readonly lastIterationNs: number;
  readonly sampledNs: number;
  readonly promptTokens: number;
  readonly rates: Readonly<Record<'prefill' | 'decode' | 'combined', number>>;
  readonly preemptions: Readonly<Record<PreemptionReason, number>>;
  readonly rejected: Readonly<Record<RejectionReason, number>>;
  /** Counters that are copies of the engine's own. */
  readonly copied: readonly number[];

  readonly iteration: PageHistogram;
  readonly allocation: PageHistogram;
  readonly phases: Readonly<Record<HostPhase, PageHistogram>>;
  readonly swapWait: PageHistogram;
  readonly queueTime: PageHistogram;
  readonly firstToken: PageHistogram;
  readonly gaps: PageHistogram;

  constructor(page: MetricsPage) {
    this.running = page.cell('scheduler_running_batch_size');
    this.waiting = page.cell('scheduler_waiting_queue_size');
    this.swapped = page.cell('scheduler_swapped_queue_size');
    this.received = page.cell('scheduler_sequences_received_total');
    this.failedSteps = page.cell('scheduler_failed_steps_total');
    this.blocksTotal = page.cell('kv_cache_blocks_total');
    this.blocksUsed = page.cell('kv_cache_blocks_used');
    this.blocksCached = page.cell('kv_cache_blocks_cached');
    this.orphaned = page.cell('kv_cache_orphaned_blocks');
    this.mismatched = page.cell('kv_cache_ref_mismatch_blocks');
    this.audits = page.cell('kv_cache_audits_total');
    this.entries = page.cell('prefix_cache_entries');
    this.hits = page.cell('prefix_cache_hit_total');
    this.misses = page.cell('prefix_cache_miss_total');
    this.hitRate = page.cell('prefix_cache_hit_rate');
    this.evictions = page.cell('prefix_cache_evictions_total');
    this.prefillTokens = page.cell('prefill_tokens_total');
    this.decodeTokens = page.cell('decode_tokens_total');
    this.accepted = page.cell('speculative_tokens_accepted_total');
    this.rejectedDrafts = page.cell('speculative_tokens_rejected_total');
    this.proposed = page.cell('speculative_tokens_proposed_total');
    this.acceptanceRate = page.cell('speculative_acceptance_rate');
    this.forwardPrefill = page.cell('gpu_forward_seconds_total', 'prefill');
    this.forwardDecode = page.cell('gpu_forward_seconds_total', 'decode');
    this.forwardMixed = page.cell('gpu_forward_seconds_total', 'mixed');
    this.iterations = page.hidden('iterations');
    this.lastIterationNs = page.hidden('lastIterationNs');
    this.sampledNs = page.hidden('sampledNs');
    this.promptTokens = page.hidden('promptTokens');
    this.rates = labelled(['prefill', 'decode', 'combined'], (phase) => page.cell('tokens_per_second', phase));
    this.preemptions = labelled(PREEMPTION_REASONS, (reason) => page.cell('scheduler_preemptions_total', reason));
    this.rejected = labelled(REJECTION_REASONS, (reason) => page.cell('scheduler_requests_rejected_total', reason));
    this.copied = [this.decodeTokens, this.accepted, this.rejectedDrafts, this.proposed];
    this.iteration = page.histogram('scheduler_iteration_latency_seconds');
    this.allocation = page.histogram('scheduler_allocation_latency_seconds');
    this.phases = labelled(HOST_PHASES, (phase) => page.histogram('scheduler_phase_latency_seconds', phase));
    this.swapWait = page.histogram('scheduler_swap_wait_seconds');
    this.queueTime = page.histogram('request_queue_time_seconds');
    this.firstToken = page.histogram('time_to_first_token_seconds');
    this.gaps = page.histogram('inter_token_latency_seconds');
  }
}

function labelled<Label extends string, T>(labels: readonly Label[], make: (label: Label) => T): Record<Label, T> {
  return Object.fromEntries(labels.map((label) => [label, make(label)])) as Record<Label, T>;
}
