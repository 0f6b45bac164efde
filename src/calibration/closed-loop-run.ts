import {
  catalogueModel,
  DeviceOperators,
  type DeviceProfile,
  deviceSpec,
  type EngineHostProfile,
  planMemory,
} from '../backends/simulated/index.ts';
import { PRIORITY, Request, type Sequence, type TokenSink } from '../core/index.ts';
import { StreamTokens } from '../core/token-source.ts';
import { type Uniform, uniformSource } from '../simulation/random.ts';
import type { ClosedLoopMeasurement } from './closed-loop-measurement.ts';
import { SimulatedServer } from './simulated-server.ts';

export interface ClosedLoopPrediction {
  readonly ttftMeanMs: number;
  /** (E2E - TTFT) / (output tokens - 1) of the means. */
  readonly tpotMeanMs: number;
}

/** Prompts that each client sends; the first is not counted. */
const ROUNDS = 6;
/** Half the spread of answer lengths, as a share: with exactly equal ones, clients that meet in a step would never part again. Not measured. */
const ANSWER_SPREAD = 0.1;
/** vLLM's defaults for a server on an H100: `max_num_batched_tokens`, `max_num_seqs`, `gpu_memory_utilization`, block size. */
const TOKENS_PER_STEP_MAX = 8192;
const SEQUENCES_MAX = 1024;
const UTILIZATION = 0.9;
const BLOCK_SIZE = 16;

/** Predicts closed loops on one kind of device; tables of a model and parallelism are made once. */
export class ClosedLoops {
  private readonly profile: DeviceProfile;
  private readonly host: EngineHostProfile;
  private readonly operators = new Map<string, DeviceOperators>();

  constructor(profile: DeviceProfile, host: EngineHostProfile) {
    this.profile = profile;
    this.host = host;
  }

  /** Throws ModelError for a model that nobody knows, MemoryError for one that does not fit. */
  predict(measured: ClosedLoopMeasurement): ClosedLoopPrediction {
    const { tensorParallel, outputTokens } = measured;
    const model = catalogueModel(measured.model, measured.fp8 ? { weights: 'fp8' } : {});
    const sizes = { tensorParallel, tokensPerStepMax: TOKENS_PER_STEP_MAX, sequencesMax: SEQUENCES_MAX };
    const key = `${measured.model} ${measured.fp8} ${tensorParallel}`;
    const operators = this.operators.get(key) ?? new DeviceOperators(this.profile, model, sizes);
    this.operators.set(key, operators);
    const memory = planMemory(model, deviceSpec(this.profile.device), {
      ...sizes,
      blockSize: BLOCK_SIZE,
      gpuMemoryUtilization: UTILIZATION,
      hostSwapBytes: 0,
      blocksOverride: null,
    });
    const server = { ...sizes, repository: measured.model, model, profile: this.profile, operators, memory };
    const run = (overNs: number, rounds: number) =>
      new Clients(
        new SimulatedServer({ ...server, blockSize: BLOCK_SIZE }, this.host, measured.id),
        measured,
        overNs,
      ).run(rounds);
    const together = run(0, 1);
    const answerNs = (together.ttftMeanMs + together.tpotMeanMs * (outputTokens - 1)) * 1e6;
    return run(answerNs, ROUNDS);
  }
}

/**
 * As many as the concurrency: each sends its next prompt, which nobody had sent before, as soon as its last answer has come. They begin at
 * times that are spread at random over `overNs`: of equal lengths, clients that begin together would stay together, which measured ones do not (their
 * TTFT is that of a few prompts). One tokeniser takes one prompt at a time.
 */
class Clients implements TokenSink {
  private readonly server: SimulatedServer;
  private readonly measured: ClosedLoopMeasurement;
  private readonly overNs: number;
  private readonly sentNs: number[] = [];
  private readonly lengths: Uniform;
  private left = 0;
  private tokenizerFreeNs = 0;
  private uncounted = 0;
  private running = 0;
  private ttftNs = 0;
  private e2eNs = 0;

  constructor(server: SimulatedServer, measured: ClosedLoopMeasurement, overNs: number) {
    this.server = server;
    this.measured = measured;
    this.overNs = overNs;
    this.lengths = uniformSource(measured.id, 'lengths of answers');
  }

  run(rounds: number): ClosedLoopPrediction {
    const { clock } = this.server;
    const { measured } = this;
    const { concurrency, outputTokens } = measured;
    this.left = rounds * concurrency;
    this.uncounted = rounds > 1 ? concurrency : 0;
    const counted = this.left - this.uncounted;
    const phase = uniformSource(measured.id, 'phases of clients');
    for (let client = 0; client < concurrency; client++) this.send(Math.round(phase() * this.overNs));
    while (clock.armed > 0) clock.run(clock.nextNs() + 10e9);
    const ttftMeanMs = this.ttftNs / counted / 1e6;
    return { ttftMeanMs, tpotMeanMs: (this.e2eNs / counted / 1e6 - ttftMeanMs) / Math.max(1, outputTokens - 1) };
  }

  tokens(sequence: Sequence, from: number): void {
    const id = sequence.request.id as number;
    if (from > 0 || id < this.uncounted) return;
    const { clock, frontend } = this.server;
    this.ttftNs += clock.nowNs() - this.sentNs[id]! + frontend.firstTokenNs(this.running);
  }

  finished(sequence: Sequence): void {
    const { clock, frontend } = this.server;
    const id = sequence.request.id as number;
    const doneNs = clock.nowNs() + frontend.endNs;
    this.running--;
    if (id >= this.uncounted) this.e2eNs += doneNs - this.sentNs[id]!;
    this.send(doneNs);
  }

  private send(atNs: number): void {
    if (this.left === 0) return;
    this.left--;
    const { clock, engine, frontend } = this.server;
    const { promptTokens } = this.measured;
    const outputTokens = Math.max(
      1,
      Math.round(this.measured.outputTokens * (1 + ANSWER_SPREAD * (2 * this.lengths() - 1))),
    );
    const id = this.sentNs.push(atNs) - 1;
    const tokenizedNs = frontend.requestNs(promptTokens) - frontend.requestNs(0);
    this.tokenizerFreeNs = Math.max(this.tokenizerFreeNs, atNs) + tokenizedNs;
    clock.at(this.tokenizerFreeNs + frontend.requestNs(0), PRIORITY.arrival, {
      run: (inEngineNs) => {
        this.running++;
        engine.submit(
          new Request(id, inEngineNs, { prompt: new StreamTokens(promptTokens, id), outputTokensMax: outputTokens }),
          this,
        );
      },
    });
  }
}
