import {
  type Backend,
  type Engine,
  type EngineConfig,
  type EngineEvents,
  type HostPhase,
  NONE,
  type PreemptionReason,
  type RejectionReason,
  type Request,
  type Sequence,
  type StepPlan,
  type StepResult,
  type WaitReason,
} from '../core/index.ts';
import { EngineCells } from './engine-cells.ts';
import { GpuSeries } from './gpu-series.ts';
import type { InfoLabels, MetricsPage } from './metrics-page.ts';
import { RateWindow } from './rate-window.ts';
import { RequestSeries } from './request-series.ts';

/** Windows of the gauges "over time". */
const RATIO_WINDOW_NS = 300e9;
const THROUGHPUT_WINDOW_NS = 30e9;

export interface EngineMetricsOptions {
  readonly config: EngineConfig;
  readonly backend: Backend;
  /** Of `engine_info`, beside block size and blocks: backend, model, version. */
  readonly labels?: InfoLabels;
  /** Queues and blocks are brought up to date by `sample` alone, since nobody reads the page in between (a simulation). */
  readonly sampledOnly?: boolean;
}

/**
 * Fills the engine's series of a metrics page. All calls come from the engine's thread; those of `EngineEvents` cost
 * nothing that grows with the batch, but for a look at the rows while somebody waits for a first token.
 *
 * Counts go on from what the page holds, so that the counters of an engine that was started again do not fall.
 */
export class EngineMetrics implements EngineEvents {
  private readonly page: MetricsPage;
  private readonly cells: Float64Array;
  private readonly at: EngineCells;
  private readonly config: EngineConfig;
  private readonly requests: RequestSeries;
  private readonly gpus: GpuSeries;
  private readonly ratios = new RateWindow(RATIO_WINDOW_NS, 4);
  private readonly throughput = new RateWindow(THROUGHPUT_WINDOW_NS, 2);
  private readonly scratch4 = new Float64Array(4);
  private readonly scratch2 = new Float64Array(2);
  private readonly sampledOnly: boolean;
  private engine: Engine | null = null;
  /** What the counters that are copied from the engine's books stood at when it was attached. */
  private readonly bases = new Float64Array(4);
  /** Sequences taken in that have no token yet. */
  private awaitingFirst = 0;
  private admittedNow = 0;

  constructor(page: MetricsPage, options: EngineMetricsOptions) {
    const { config, backend } = options;
    this.page = page;
    this.cells = page.cells;
    this.at = new EngineCells(page);
    this.config = config;
    this.sampledOnly = options.sampledOnly === true;
    this.requests = new RequestSeries(page);
    this.gpus = new GpuSeries(page, backend);
    page.setInfo({
      ...options.labels,
      block_size: String(config.blockSize),
      num_gpu_blocks: String(config.blocksTotal),
    });
    this.cells[this.at.blocksTotal] = config.blocksTotal;
    for (const gauge of [this.at.running, this.at.waiting, this.at.swapped]) this.cells[gauge] = 0;
    this.cells[page.hidden('lastIterationNs')] = Number.NaN;
    this.gpus.sample();
  }

  /** Lets it read queues, blocks and books of the engine that it listens to; once, before the first request. */
  attach(engine: Engine): void {
    this.engine = engine;
    const { accepted = 0, rejected = 0, proposed = 0 } = engine.scheduler.speculation ?? {};
    const books = [engine.totals.outputTokens, accepted, rejected, proposed];
    // What an engine that is no longer new has counted before nobody was told of.
    this.at.copied.forEach((cell, i) => {
      this.bases[i] = this.cells[cell]! - books[i]!;
    });
    this.publish();
    this.sampleWindows(engine.clock.nowNs());
  }

  received(_sequence: Sequence, _nowNs: number): void {
    this.cells[this.at.received]!++;
    this.awaitingFirst++;
  }

  rejected(_request: Request, reason: RejectionReason, _nowNs: number): void {
    this.cells[this.at.rejected[reason]]!++;
  }

  admitted(sequence: Sequence, hitTokens: number, _blocks: number, resumed: boolean, nowNs: number): void {
    this.admittedNow++;
    const { cells, at } = this;
    if (resumed) {
      // Only what was swapped in has computed tokens that were not hit.
      if (hitTokens === 0 && sequence.computedTokens > 0) {
        this.at.swapWait.observe((nowNs - sequence.waitingSinceNs) / 1e9);
      }
      return;
    }
    if (sequence.admittedNs !== nowNs) return;
    this.at.queueTime.observe((nowNs - sequence.request.arrivalNs) / 1e9);
    cells[at.promptTokens]! += sequence.promptTokens;
    if (sequence.prefixEnd === 'disabled' || sequence.prefixEnd === 'not-looked-up' || sequence.index > 0) return;
    const { blockSize } = this.config;
    const hits = Math.floor(hitTokens / blockSize);
    cells[at.hits]! += hits;
    cells[at.misses]! += Math.floor((sequence.knownTokens - 1) / blockSize) - hits;
  }

  preempted(_sequence: Sequence, reason: PreemptionReason, _swapped: boolean, _nowNs: number): void {
    this.cells[this.at.preemptions[reason]]!++;
  }

  evicted(_blocks: Int32Array, count: number, _nowNs: number): void {
    this.cells[this.at.evictions]! += count;
  }

  stepPlanned(
    _plan: StepPlan,
    _waiting: number,
    _swapped: number,
    _waitReason: WaitReason | null,
    _nowNs: number,
  ): void {
    this.admittedNow = 0;
    this.publishStep();
  }

  hostPhase(phase: HostPhase, ns: number, count: number): void {
    this.at.phases[phase].observe(ns / 1e9, count);
    if (phase === 'admit_waiting' && this.admittedNow > 0) {
      this.at.allocation.observe(ns / 1e9 / this.admittedNow, this.admittedNow);
    }
  }

  stepFinished(
    plan: StepPlan,
    result: StepResult,
    _startNs: number,
    endNs: number,
    gapRows: number,
    leadNs: number,
  ): void {
    const { cells, at } = this;
    const steps = result.status === 'ok' ? result.stepsRun : 1;
    cells[at.iterations]! += steps;
    cells[at.lastIterationNs] = endNs;
    if (plan.hostNs > 0) at.iteration.observe(plan.hostNs / 1e9);
    if (plan.laterHostNs > 0 && steps > 1) at.iteration.observe(plan.laterHostNs / 1e9, steps - 1);
    if (result.status !== 'ok') {
      cells[at.failedSteps]!++;
      this.publishStep();
      return;
    }
    cells[at.prefillTokens]! += plan.prefillTokens;
    let forwardNs = 0;
    for (let i = 0; i < steps; i++) {
      const ns = result.durationsNs[i]!;
      forwardNs += ns;
      if (gapRows > 0) at.gaps.observe((i === 0 ? ns + leadNs : ns) / 1e9, gapRows);
    }
    const phase =
      plan.prefillRows === 0 ? at.forwardDecode : plan.decodeRows === 0 ? at.forwardPrefill : at.forwardMixed;
    cells[phase]! += forwardNs / 1e9;
    if (this.awaitingFirst > 0) this.firstTokens(plan, endNs);
    this.publishStep();
  }

  tokenGap(gapNs: number, count: number): void {
    this.at.gaps.observe(gapNs / 1e9, count);
  }

  finished(sequence: Sequence, nowNs: number): void {
    const reason = sequence.finishReason!;
    if (reason === 'rejected') return;
    if (sequence.firstTokenNs === NONE) this.awaitingFirst--;
    this.requests.finished(sequence, reason, nowNs);
  }

  /**
   * Brings what is read on demand up to date: GPUs, rates over windows, and queues and blocks, which an abort changes outside
   * any step. About once a second of the engine's time live, once per scrape interval in a simulation.
   */
  sample(nowNs: number): void {
    const { cells, at, engine } = this;
    cells[at.sampledNs] = nowNs;
    this.gpus.sample();
    if (engine === null) return;
    this.publish();
    this.sampleWindows(nowNs);
  }

  /** An audit of the blocks was made and found so many without an owner, and so many with a wrong reference count. */
  audited(orphanedBlocks: number, mismatchedBlocks: number): void {
    this.cells[this.at.audits]!++;
    this.cells[this.at.orphaned] = orphanedBlocks;
    this.cells[this.at.mismatched] = mismatchedBlocks;
  }

  private sampleWindows(nowNs: number): void {
    const { cells, at } = this;
    const ratios = this.scratch4;
    ratios[0] = cells[at.hits]!;
    ratios[1] = cells[at.misses]!;
    ratios[2] = cells[at.accepted]!;
    ratios[3] = cells[at.proposed]!;
    this.ratios.add(nowNs, ratios);
    const looked = this.ratios.growth(0) + this.ratios.growth(1);
    cells[at.hitRate] = looked > 0 ? this.ratios.growth(0) / looked : Number.NaN;
    const proposed = this.ratios.growth(3);
    cells[at.acceptanceRate] = proposed > 0 ? this.ratios.growth(2) / proposed : Number.NaN;
    const tokens = this.scratch2;
    tokens[0] = cells[at.prefillTokens]!;
    tokens[1] = cells[at.decodeTokens]!;
    this.throughput.add(nowNs, tokens);
    const seconds = this.throughput.spanNs / 1e9;
    const prefill = seconds > 0 ? this.throughput.growth(0) / seconds : 0;
    const decode = seconds > 0 ? this.throughput.growth(1) / seconds : 0;
    cells[at.rates.prefill] = prefill;
    cells[at.rates.decode] = decode;
    cells[at.rates.combined] = prefill + decode;
  }

  private firstTokens(plan: StepPlan, endNs: number): void {
    for (let row = 0; row < plan.rows; row++) {
      const sequence = plan.sequences[row]!;
      if (sequence.firstTokenNs !== endNs || plan.samples[row] === 0) continue;
      this.awaitingFirst--;
      this.at.firstToken.observe((endNs - sequence.request.arrivalNs) / 1e9);
    }
  }

  private publishStep(): void {
    if (!this.sampledOnly) this.publish();
  }

  /** Gauges and counters that the engine keeps itself, as one group: a reader sees all of them or none. */
  private publish(): void {
    const { engine, cells, at } = this;
    if (engine === null) return;
    const { scheduler, kv } = engine;
    this.page.beginGroup();
    cells[at.running] = scheduler.running.length;
    cells[at.waiting] = scheduler.waiting.size + engine.held;
    cells[at.swapped] = scheduler.swapped.size;
    cells[at.blocksUsed] = kv.pool.used;
    cells[at.blocksCached] = kv.blocksCached;
    cells[at.entries] = kv.cache.entries;
    // In the order of `at.copied`.
    cells[at.decodeTokens] = this.bases[0]! + engine.totals.outputTokens;
    const { speculation } = scheduler;
    if (speculation !== null) {
      cells[at.accepted] = this.bases[1]! + speculation.accepted;
      cells[at.rejectedDrafts] = this.bases[2]! + speculation.rejected;
      cells[at.proposed] = this.bases[3]! + speculation.proposed;
    }
    this.page.endGroup();
  }
}
