import type { WaitReason } from '../src/core/index.ts';
import type { Case, Round } from './measure.ts';
import { PROMPT_TOKENS, StepRig } from './step-rig.ts';

const STEPS_PER_ROUND = 2000;
/** Allowed p99 of one step, us, by running sequences. */
const P99_MAX: ReadonlyMap<number, number> = new Map([
  [256, 50],
  [1024, 250],
]);
const BLOCK_SIZE = 16;

/** One scheduler step (apply the last, plan and submit the next) with a full batch of decoding sequences. */
export const STEP_CASES: readonly Case[] = [
  fullBatch(256, 0),
  fullBatch(256, 10_000),
  fullBatch(1024, 0),
  fullBatch(1024, 1000),
  fullBatch(1024, 10_000),
  blocksPromised(256, 10_000),
  blocksPromised(1024, 0),
  blocksPromised(1024, 1000),
  blocksPromised(1024, 10_000),
];

/** Sequences end and others are admitted all the time. */
export const STEPPING_CASE: Case = {
  name: 'stepping, 256 rows, outputs of 128 to 384 tokens, 64 waiting',
  unit: 'ns/sequence-step',
  samples: 200,
  p99Max: null,
  begin: beginStepping,
};

/** The waiting lack a place in the batch. */
function fullBatch(running: number, waiting: number): Case {
  const outputTokensMax = 4096;
  const blocksTotal = Math.ceil((1.05 * running * (PROMPT_TOKENS + outputTokensMax)) / BLOCK_SIZE);
  return stepCase(`step, ${running} running, ${waiting} wait for a place`, running, () => {
    const rig = new StepRig({ sequencesMax: running, blocksTotal });
    rig.submit(running, () => outputTokensMax);
    rig.stepWhile(() => rig.decodeRows < running);
    rig.submit(waiting, () => outputTokensMax);
    return new StepRound(rig, running, waiting, ['sequences']);
  });
}

/**
 * There are places, but the blocks are promised to those that run, so in each step the head of the queue and the eight
 * behind it are looked at. With outputs this long the promise outgrows the blocks for the whole round, and nothing is
 * preempted: once the overcommit ratio has come down (600 steps, here of a lone sequence), 9.8 % of 24,000 tokens are promised.
 */
function blocksPromised(running: number, waiting: number): Case {
  const outputTokensMax = 24_000;
  const promisedTokens = PROMPT_TOKENS + 0.098 * outputTokensMax + 160;
  const blocksTotal = Math.ceil((running * promisedTokens) / BLOCK_SIZE / 0.98);
  return stepCase(`step, ${running} running, ${waiting} wait for blocks`, running, () => {
    const rig = new StepRig({ sequencesMax: 2 * running, blocksTotal });
    rig.submit(1, () => 700);
    rig.step();
    rig.stepWhile(() => !rig.engine.idle);
    rig.submit(running, () => outputTokensMax);
    rig.stepWhile(() => rig.decodeRows < running || blocksUnpromised(rig) > 0);
    rig.submit(waiting, () => outputTokensMax);
    return new StepRound(rig, running, waiting, ['overcommit', 'watermark', 'blocks']);
  });
}

function blocksUnpromised(rig: StepRig): number {
  const { kv, scheduler } = rig.engine;
  let blocks = kv.pool.available;
  for (const sequence of scheduler.running) {
    const future = scheduler.overcommit.share(sequence.outputTokensMax - sequence.outputTokens);
    blocks -= kv.blocksFor(sequence.knownTokens + future) - sequence.blocks;
  }
  return blocks;
}

function stepCase(name: string, running: number, begin: () => Round): Case {
  return { name, unit: 'us', samples: STEPS_PER_ROUND, p99Max: P99_MAX.get(running) ?? null, begin };
}

/** Steps of a batch that stays as it is, as `end` makes sure. */
class StepRound implements Round {
  private readonly rig: StepRig;
  private readonly running: number;
  private readonly waiting: number;
  /** What may be lacking; the reason changes when a sequence is not looked up again in every step. */
  private readonly reasons: readonly WaitReason[];

  constructor(rig: StepRig, running: number, waiting: number, reasons: readonly WaitReason[]) {
    this.rig = rig;
    this.running = running;
    this.waiting = waiting;
    this.reasons = reasons;
    // The waiting are looked at once, so that the keys of the first prompts are made.
    rig.step();
    rig.step();
  }

  sample(): number {
    return this.rig.step();
  }

  end(): void {
    const { scheduler, totals } = this.rig.engine;
    const reason = scheduler.waitReason;
    const holds =
      this.rig.decodeRows === this.running &&
      this.rig.rows === this.running &&
      scheduler.waiting.size === this.waiting &&
      (reason === null ? this.waiting === 0 : this.reasons.includes(reason)) &&
      scheduler.preemptionsMemory === 0 &&
      totals.failedSubmissions === 0;
    if (holds) return;
    const found = `${this.rig.decodeRows} of ${this.rig.rows} rows decode, ${scheduler.waiting.size} wait (${reason})`;
    throw new Error(`expected ${this.running} decoding and ${this.waiting} waiting (${this.reasons}); found ${found}`);
  }
}

function beginStepping(): Round {
  const rows = 256;
  const waiting = 64;
  const stepsPerSample = 20;
  const rig = new StepRig({ sequencesMax: rows, blocksTotal: 30_208 });
  const outputTokensMax = (index: number): number => 128 + ((index * 97) % 257);
  rig.submit(rows + waiting, outputTokensMax);
  rig.stepWhile(() => rig.engine.totals.steps < 500);
  return {
    sample() {
      const before = rig.engine.totals.sequenceSteps;
      let ms = 0;
      for (let i = 0; i < stepsPerSample; i++) {
        rig.submit(waiting - rig.engine.scheduler.waiting.size, outputTokensMax);
        ms += rig.step();
      }
      return ms / (rig.engine.totals.sequenceSteps - before);
    },
    end() {
      if (rig.engine.scheduler.running.length < rows - 16) throw new Error('the batch ran empty');
    },
  };
}
