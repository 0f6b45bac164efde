import { readFileSync } from 'node:fs';
import {
  ArrayTokens,
  type DraftProposer,
  Engine,
  type EngineConfig,
  type EngineEvents,
  engineConfig,
  NO_SINK,
  Request,
  type Sequence,
  VirtualClock,
} from '../../src/core/index.ts';
import { ScriptedBackend } from '../support/scripted-backend.ts';

/** A file of shared decisions: see the README beside the recordings for the format. */
export interface Recording {
  readonly name: string;
  readonly config: RecordedConfig;
  readonly requests: readonly RecordedRequest[];
  readonly steps: readonly RecordedStep[];
}

interface RecordedConfig {
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  readonly maxModelLen: number;
  readonly longPrefillTokenThreshold: number;
  readonly chunkedPrefill: boolean;
  readonly blockSize: number;
  /** Includes the null block, which vLLM never hands out. */
  readonly numBlocks: number;
  readonly prefixCaching: boolean;
  readonly policy: 'fcfs' | 'priority';
  readonly speculativeTokens: number;
  readonly stepsInFlight: 1 | 2;
}

interface RecordedRequest {
  readonly id: number;
  readonly arriveStep: number;
  readonly prompt: readonly (readonly [seed: number, length: number])[];
  readonly maxTokens: number;
  readonly priority?: number;
  readonly salt?: string;
}

/** One step's decisions; empty lists are left out. */
export interface RecordedStep {
  readonly step: number;
  readonly scheduled?: readonly (readonly [id: number, tokens: number])[];
  readonly new?: readonly (readonly [id: number, hitTokens: number])[];
  readonly resumed?: readonly (readonly [id: number, computedTokens: number])[];
  readonly preempted?: readonly number[];
  readonly aborted?: readonly number[];
  readonly speculation?: readonly (readonly [id: number, drafts: number, accepted: number])[];
  readonly freeBlocks: number;
  readonly running: number;
  readonly waiting: number;
  readonly finished?: readonly number[];
}

export function readRecording(path: string): Recording {
  const [header, ...lines] = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  return {
    name: header.name,
    config: header.config,
    requests: lines.filter((line) => line.request !== undefined).map((line) => line.request),
    steps: lines.filter((line) => line.request === undefined),
  };
}

const VOCABULARY = 31_991;

function promptTokens(request: RecordedRequest): Int32Array {
  const tokens: number[] = [];
  for (const [seed, length] of request.prompt) {
    for (let i = 0; i < length; i++) tokens.push(3 + ((seed * 1_000_003 + i * 7919) % VOCABULARY));
  }
  return Int32Array.from(tokens);
}

const outputToken = (id: number, position: number) => 3 + ((id * 1_000_003 + position * 104_729 + 17) % VOCABULARY);

/** Offers as many drafts as the recorder did: a formula of the request and its output so far. */
class RecordedDrafts implements DraftProposer {
  readonly draftsMax: number;

  constructor(draftsMax: number) {
    this.draftsMax = draftsMax;
  }

  propose(sequence: Sequence, _draftsMax: number, into: Int32Array, at: number): number {
    const drafts = (sequence.request.id * 5 + sequence.outputTokens * 11) % (this.draftsMax + 1);
    into.fill(5, at, at + drafts);
    return drafts;
  }
}

function configOf(recorded: RecordedConfig): EngineConfig {
  const drafts = recorded.speculativeTokens;
  return engineConfig('vllm-v1', {
    blockSize: recorded.blockSize,
    blocksTotal: recorded.numBlocks - 1,
    sequencesMax: recorded.maxNumSeqs,
    tokensPerStepMax: recorded.maxNumBatchedTokens,
    modelLenMax: recorded.maxModelLen,
    prefillChunkTokensMax: recorded.longPrefillTokenThreshold,
    chunkedPrefill: recorded.chunkedPrefill,
    prefixCaching: recorded.prefixCaching,
    order: recorded.policy,
    stepsInFlight: recorded.stepsInFlight,
    speculation:
      drafts === 0
        ? null
        : {
            draftTokensMax: drafts,
            lookaheadTokens: 0,
            runningOffMin: Number.POSITIVE_INFINITY,
            runningOnMax: Number.POSITIVE_INFINITY,
            acceptanceOffMax: 0,
            acceptanceOnMin: 0,
            retrySteps: 1,
          },
    checkIntervalNs: 0,
  });
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Runs the engine over a recording's requests; returns its own decisions in the recording's form. */
export function replayRecording(recording: Recording): RecordedStep[] {
  const config = configOf(recording.config);
  const backend = new ScriptedBackend();
  const clock = new VirtualClock();
  let step: Mutable<RecordedStep> = { step: 0, freeBlocks: 0, running: 0, waiting: 0 };
  const lists = {
    new: [] as [number, number][],
    resumed: [] as [number, number][],
    preempted: [] as number[],
    finished: [] as number[],
  };
  const events: EngineEvents = {
    received() {},
    rejected(request, reason) {
      throw new Error(`request ${request.id} was rejected: ${reason}`);
    },
    admitted(sequence, hitTokens, _blocks, resumed) {
      (resumed ? lists.resumed : lists.new).push([sequence.request.id, hitTokens]);
    },
    preempted(sequence) {
      lists.preempted.push(sequence.request.id);
    },
    evicted() {},
    stepPlanned() {},
    hostPhase() {},
    stepFinished() {},
    tokenGap() {},
    finished(sequence) {
      if (sequence.finishReason === 'length') lists.finished.push(sequence.request.id);
    },
  };
  const drafts = recording.config.speculativeTokens;
  const proposer = drafts === 0 ? null : new RecordedDrafts(drafts);
  const engine = new Engine({ config, backend, clock, events, proposer });
  const salts = new Map<string, number>();
  const own: RecordedStep[] = [];
  const lastStep = recording.steps.at(-1)!.step;
  const recordedSteps = new Map(recording.steps.map((s) => [s.step, s]));
  let next = 0;
  for (let number = 0; number <= lastStep; number++) {
    step = { step: number, freeBlocks: 0, running: 0, waiting: 0 };
    lists.new = [];
    lists.resumed = [];
    lists.preempted = [];
    lists.finished = [];
    for (; next < recording.requests.length && recording.requests[next]!.arriveStep <= number; next++) {
      const r = recording.requests[next]!;
      const salt = r.salt === undefined ? 0 : (salts.get(r.salt) ?? salts.set(r.salt, salts.size + 1).size);
      engine.submit(
        new Request(r.id, clock.nowNs(), {
          prompt: new ArrayTokens(promptTokens(r)),
          outputTokensMax: r.maxTokens,
          priority: r.priority ?? 0,
          cacheSalt: salt,
        }),
        NO_SINK,
      );
    }
    const aborted = recordedSteps.get(number)?.aborted;
    if (aborted !== undefined) {
      step.aborted = aborted;
      for (const id of aborted) engine.abort(id);
    }
    const before = backend.out.length;
    engine.beginStep(clock.nowNs());
    const planned = backend.out.length > before ? backend.out.at(-1)!.plan : null;
    if (planned !== null) {
      step.scheduled = Array.from({ length: planned.rows }, (_, i) => [
        planned.sequences[i]!.request.id,
        planned.newTokens[i]!,
      ]);
    }
    step.freeBlocks = engine.kv.pool.available;
    step.running = engine.scheduler.runningCount;
    step.waiting = engine.scheduler.waiting.size;
    if (backend.out.length === config.stepsInFlight || (planned === null && backend.out.length > 0)) {
      endOldest(engine, backend, step);
    }
    if (lists.new.length > 0) step.new = lists.new;
    if (lists.resumed.length > 0) step.resumed = lists.resumed;
    if (lists.preempted.length > 0) step.preempted = lists.preempted.sort((a, b) => a - b);
    if (lists.finished.length > 0) step.finished = lists.finished;
    own.push(step);
  }
  return own;
}

/** Applies the oldest submission with the recorder's tokens and acceptance. */
function endOldest(engine: Engine, backend: ScriptedBackend, step: Mutable<RecordedStep>): void {
  const { plan, result } = backend.take();
  const stride = plan.draftTokensMax + 1;
  const speculation: [number, number, number][] = [];
  for (let row = 0; row < plan.rows; row++) {
    const sequence = plan.sequences[row]!;
    const id = sequence.request.id;
    const drafts = plan.draftTokens[row]!;
    const accepted = drafts === 0 ? 0 : (id * 7 + sequence.outputTokens * 13) % (drafts + 1);
    result.acceptedDrafts[row] = accepted;
    if (drafts > 0) speculation.push([id, drafts, accepted]);
    for (let i = 0; i <= accepted; i++) {
      result.tokens[row * stride + i] = i < accepted ? 5 : outputToken(id, sequence.outputTokens + i);
    }
  }
  if (speculation.length > 0) step.speculation = speculation;
  engine.apply(plan, result);
}
