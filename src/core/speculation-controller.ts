import { assert } from './assert.ts';
import type { SpeculationConfig } from './engine-config.ts';
import { ConfigError } from './errors.ts';

/**
 * on: drafts are proposed. trial: proposed again after a pause, to measure the acceptance rate anew. off-load: too many
 * sequences run for drafts to pay. off-acceptance: too few drafts were accepted.
 */
export type SpeculationState = 'on' | 'trial' | 'off-load' | 'off-acceptance';

/** How the acceptance rate is measured, in verified drafts. */
export interface AcceptanceWindow {
  /** Time constant of the exponential average. */
  readonly drafts: number;
  /** Drafts verified before the average is believed. */
  readonly draftsMin: number;
}

/**
 * Twinfer's own choice: 128 drafts tell a rate within 4.4 points (standard error of a share, at most sqrt(0.25 / 128)), and
 * 1024 follow a change of workload within some ten steps of a large batch.
 */
export const ACCEPTANCE_WINDOW: AcceptanceWindow = Object.freeze({ drafts: 1024, draftsMin: 128 });

/**
 * Decides step by step whether drafts are proposed, and keeps the accounts of them. Drafts cost computation that a loaded
 * device does not have to spare, and nothing is won by drafts that are rejected, so two things turn them off, each with
 * a hysteresis (Liu et al., arXiv 2406.14066, choose the number of drafts by load and acceptance; here it is all or none):
 *
 *     running  > runningOffMin -> off          acceptance < acceptanceOffMax -> off for retrySteps steps, then a trial:
 *              <= runningOnMax -> on again                 >= acceptanceOnMin after it -> on, else off again
 *
 * Books, in draft tokens: `offered` by the proposer = `proposed` + `discarded` + `pending`. `proposed` are those whose
 * verification ended, and `accepted` + `rejected` = `proposed` at any time. `discarded` were never verified: trimmed by the
 * token budget, dropped with a preemption, an end of the sequence or a failed step.
 */
export class SpeculationController {
  offered = 0;
  proposed = 0;
  accepted = 0;
  rejected = 0;
  discarded = 0;
  /** Rows verified, i.e. drafts in vLLM's counting: 1 + accepted / rows tokens come out of a row. */
  rows = 0;
  /** Times that drafts were turned on or off. */
  switches = 0;

  private readonly config: SpeculationConfig;
  private readonly window: AcceptanceWindow;
  /** rowsByAccepted[a]: rows with `a` drafts accepted. */
  private readonly rowsByAccepted: Float64Array;

  private loadOff = false;
  private acceptance: 'on' | 'trial' | 'off' = 'on';
  private drafting = true;
  /** Step of the last decision, and the first step of the next trial. */
  private step = 0;
  private retryStep = 0;

  // Moving average: decayed sums, and what was verified since it began.
  private decayedDrafts = 0;
  private decayedAccepted = 0;
  private measuredDrafts = 0;
  // Verified since the last decision: folded in at once, so that the order of rows does not matter.
  private freshDrafts = 0;
  private freshAccepted = 0;

  /** Throws ConfigError. */
  constructor(config: SpeculationConfig, window: AcceptanceWindow = ACCEPTANCE_WINDOW) {
    checkConfig(config);
    if (!(window.drafts > 0)) throw new ConfigError('window.drafts', window.drafts, 'a number above 0');
    if (!(window.draftsMin >= 1)) throw new ConfigError('window.draftsMin', window.draftsMin, 'a number from 1 on');
    this.config = config;
    this.window = window;
    this.rowsByAccepted = new Float64Array(config.draftTokensMax + 1);
  }

  /**
   * Whether drafts are proposed for step `stepId`, when `running` sequences run. To be asked once per submission, after
   * what has been verified was told; the steps inside a run need not be asked about (`stepsUntilRetry`).
   */
  decide(stepId: number, running: number): boolean {
    assert(stepId >= this.step, 'steps are decided in order');
    assert(running >= 0, 'the number of running sequences is not negative');
    this.step = stepId;
    this.fold();
    this.followAcceptance();
    if (running > this.config.runningOffMin) this.loadOff = true;
    else if (running <= this.config.runningOnMax) this.loadOff = false;
    const drafting = !this.loadOff && this.acceptance !== 'off';
    if (drafting !== this.drafting) this.switches++;
    this.drafting = drafting;
    return drafting;
  }

  get state(): SpeculationState {
    if (this.acceptance === 'off') return 'off-acceptance';
    return this.loadOff ? 'off-load' : this.acceptance;
  }

  /**
   * Steps, beginning with the one last decided, for which that decision holds if the number of running sequences and the
   * books stay: a run of steps must not be longer. At least 1; Infinity if only load or results can change it.
   */
  get stepsUntilRetry(): number {
    if (this.acceptance !== 'off' || this.loadOff) return Number.POSITIVE_INFINITY;
    return this.retryStep - this.step;
  }

  /** Moving share of verified drafts that were accepted, as of the last decision; NaN before there is one. */
  get acceptanceRate(): number {
    return this.decayedDrafts === 0 ? Number.NaN : this.decayedAccepted / this.decayedDrafts;
  }

  /** Drafts offered whose fate is open: waiting for their step, or in a step in flight. 0 when the engine is idle. */
  get pending(): number {
    return this.offered - this.proposed - this.discarded;
  }

  /** Rows in which the draft at `index` (0 = the first) was accepted. */
  acceptedAt(index: number): number {
    let rows = 0;
    for (let a = index + 1; a < this.rowsByAccepted.length; a++) rows += this.rowsByAccepted[a]!;
    return rows;
  }

  /** The proposer gave `drafts` drafts for a sequence. */
  offer(drafts: number): void {
    assert(drafts >= 0, 'a proposer offers no negative number of drafts');
    this.offered += drafts;
  }

  /** Offered drafts left without verification. */
  discard(drafts: number): void {
    assert(drafts >= 0, 'no negative number of drafts is discarded');
    assert(drafts <= this.pending, 'drafts are discarded once, after they were offered');
    this.discarded += drafts;
  }

  /** A step has verified a row of `drafts` drafts (at least 1) and accepted the first `accepted` of them. */
  verify(drafts: number, accepted: number): void {
    assert(drafts >= 1, 'a verified row has a draft');
    assert(drafts <= this.pending, 'drafts are verified once, after they were offered');
    assert(drafts <= this.config.draftTokensMax, 'a row has at most draftTokensMax drafts');
    assert(accepted >= 0, 'no negative number of drafts is accepted');
    assert(accepted <= drafts, 'no more drafts are accepted than were verified');
    this.rows++;
    this.proposed += drafts;
    this.accepted += accepted;
    this.rejected += drafts - accepted;
    this.rowsByAccepted[accepted]!++;
    this.freshDrafts += drafts;
    this.freshAccepted += accepted;
  }

  /** Checks the books; for the engine's full check. Throws InvariantError. */
  check(): void {
    assert(this.accepted + this.rejected === this.proposed, 'accepted + rejected drafts = proposed drafts');
    assert(this.pending >= 0, 'no draft is accounted for that was not offered');
    let rows = 0;
    let accepted = 0;
    for (let a = 0; a < this.rowsByAccepted.length; a++) {
      rows += this.rowsByAccepted[a]!;
      accepted += a * this.rowsByAccepted[a]!;
    }
    assert(rows === this.rows, 'each verified row is counted by its accepted drafts');
    assert(accepted === this.accepted, 'accepted drafts by position = accepted drafts');
  }

  /**
   * Adds what was verified to the average: n new drafts leave W / (W + n) of the old weight, so that with steady batches
   * the sum of weights settles at W + n drafts. Rational, so that it is the same on every machine.
   */
  private fold(): void {
    if (this.freshDrafts === 0) return;
    const kept = this.window.drafts / (this.window.drafts + this.freshDrafts);
    this.decayedDrafts = this.decayedDrafts * kept + this.freshDrafts;
    this.decayedAccepted = this.decayedAccepted * kept + this.freshAccepted;
    this.measuredDrafts += this.freshDrafts;
    this.freshDrafts = 0;
    this.freshAccepted = 0;
  }

  private followAcceptance(): void {
    const believed = this.measuredDrafts >= this.window.draftsMin;
    switch (this.acceptance) {
      case 'on':
        if (believed && this.acceptanceRate < this.config.acceptanceOffMax) this.pause();
        return;
      case 'trial':
        if (!believed) return;
        if (this.acceptanceRate >= this.config.acceptanceOnMin) this.acceptance = 'on';
        else this.pause();
        return;
      case 'off':
        if (this.step < this.retryStep) return;
        this.acceptance = 'trial';
        // What came before, late results of steps that were in flight at the pause too, says nothing about the trial.
        this.decayedDrafts = 0;
        this.decayedAccepted = 0;
        this.measuredDrafts = 0;
    }
  }

  private pause(): void {
    this.acceptance = 'off';
    this.retryStep = this.step + this.config.retrySteps;
  }
}

function checkConfig(config: SpeculationConfig): void {
  const { runningOnMax, runningOffMin, acceptanceOffMax, acceptanceOnMin, retrySteps, draftTokensMax } = config;
  if (!(Number.isInteger(draftTokensMax) && draftTokensMax >= 1)) {
    throw new ConfigError('speculation.draftTokensMax', draftTokensMax, 'an integer from 1 on');
  }
  // Written as "not allowed unless": a NaN fails each of them. Infinity is allowed: never off by load.
  if (!(runningOffMin >= 0)) throw new ConfigError('speculation.runningOffMin', runningOffMin, 'a number from 0 on');
  if (!(runningOnMax >= 0 && runningOnMax <= runningOffMin)) {
    throw new ConfigError(
      'speculation.runningOnMax',
      runningOnMax,
      `a number in [0, runningOffMin = ${runningOffMin}]`,
    );
  }
  if (!(acceptanceOnMin >= 0 && acceptanceOnMin <= 1)) {
    throw new ConfigError('speculation.acceptanceOnMin', acceptanceOnMin, 'a number in [0, 1]');
  }
  if (!(acceptanceOffMax >= 0 && acceptanceOffMax <= acceptanceOnMin)) {
    const allowed = `a number in [0, acceptanceOnMin = ${acceptanceOnMin}]`;
    throw new ConfigError('speculation.acceptanceOffMax', acceptanceOffMax, allowed);
  }
  if (!(Number.isInteger(retrySteps) && retrySteps >= 1)) {
    throw new ConfigError('speculation.retrySteps', retrySteps, 'an integer from 1 on');
  }
}
