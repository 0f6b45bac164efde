/** Latencies of one stage, milliseconds. */
export interface StageLatencies {
  readonly e2eMean: number;
  readonly e2eP99: number;
  readonly ttftMean: number;
  readonly ttftP90: number;
  readonly ttftP99: number;
  /** (E2E - TTFT) / (output tokens - 1) of the means. */
  readonly tpotMean: number;
}

export interface MeasuredStage {
  readonly stage: number;
  readonly ratePerSecond: number;
  readonly durationSeconds: number;
  readonly measured: StageLatencies;
}

/**
 * One server and the stages that ran on it, one after the other: the `shared_prefix` load of kubernetes-sigs/inference-perf against vLLM,
 * as inference-sim/training publishes it.
 */
export interface MeasuredRun {
  readonly name: string;
  /** Hugging Face repository. */
  readonly model: string;
  readonly hardware: string;
  readonly fp8: boolean;
  readonly tensorParallel: number;
  readonly tokensPerStepMax: number;
  readonly sequencesMax: number;
  /** null = vLLM's default. */
  readonly gpuMemoryUtilization: number | null;
  /** What the engine resolved, where that was kept. */
  readonly blocksTotal: number | null;
  readonly workload: string;
  readonly groups: number;
  readonly usersPerGroup: number;
  readonly systemPromptTokens: number;
  readonly questionTokens: number;
  /** As the server counted them; null = not kept. */
  readonly promptTokensMean: number | null;
  readonly outputTokens: number;
  readonly stages: readonly MeasuredStage[];
}

/** A file of measurements that cannot be used. One line. */
export class MeasurementError extends Error {
  constructor(file: string, line: number, problem: string) {
    super(`${file}: line ${line}: ${problem}`);
    this.name = 'MeasurementError';
  }
}

type Row = (column: string, otherwise?: string) => string;

/**
 * Runs in the order of their first rows. Two layouts are known by their header: `exp_id`, one row per stage, and `experiment`, the same with
 * all percentiles and a summary row per run (left out). A run that two files hold is taken once. Throws MeasurementError.
 */
export function measuredRuns(files: readonly { readonly file: string; readonly text: string }[]): MeasuredRun[] {
  const runs = new Map<string, MeasuredRun>();
  const seen = new Set<string>();
  for (const { file, text } of files) {
    const lines = text.trimEnd().split(/\r?\n/);
    const columns = new Map(lines[0]!.split(',').map((name, index) => [name, index]));
    if (!(columns.has('exp_id') || columns.has('experiment'))) {
      throw new MeasurementError(file, 1, 'column exp_id or experiment is missing');
    }
    const own = new Set<string>();
    for (let i = 1; i < lines.length; i++) {
      const cells = lines[i]!.split(',');
      const row: Row = (column, otherwise) => {
        const index = columns.get(column);
        const value = index === undefined ? undefined : cells[index];
        if (value !== undefined) return value;
        if (otherwise !== undefined) return otherwise;
        throw new MeasurementError(file, i + 1, `column ${column} is missing`);
      };
      if (row('stage') === 'summary') continue;
      const stage = stageOf(file, i + 1, row);
      const identity = `${row('model')} ${stage.stage} ${stage.measured.ttftMean.toFixed(3)} ${stage.measured.e2eMean.toFixed(2)}`;
      if (seen.has(identity) && !own.has(identity)) continue;
      seen.add(identity);
      own.add(identity);
      const name = columns.has('exp_id') ? `${row('exp_id')}` : row('experiment');
      const key = `${name} ${row('model')}`;
      const run = runs.get(key);
      if (run === undefined) runs.set(key, { ...runOf(file, i + 1, row, name), stages: [stage] });
      else runs.set(key, { ...run, stages: [...run.stages, stage].sort((a, b) => a.stage - b.stage) });
    }
  }
  return [...runs.values()];
}

function stageOf(file: string, line: number, row: Row): MeasuredStage {
  const number = numbers(file, line, row);
  const output = Number(row('output_len', '') || row('max_output_tokens', ''));
  const e2eMean = number('e2e_mean_ms');
  const ttftMean = number('ttft_mean_ms');
  return {
    stage: Number(row('stage').replace('stage_', '')),
    ratePerSecond: row('rate_rps', '') === '' ? number('stage_rate_rps') : number('rate_rps'),
    durationSeconds: number('stage_duration_s'),
    measured: {
      e2eMean,
      e2eP99: number('e2e_p99_ms'),
      ttftMean,
      ttftP90: number('ttft_p90_ms'),
      ttftP99: number('ttft_p99_ms'),
      tpotMean: (e2eMean - ttftMean) / (output - 1),
    },
  };
}

function runOf(file: string, line: number, row: Row, name: string): Omit<MeasuredRun, 'stages'> {
  const number = numbers(file, line, row);
  const optional = (column: string) => (row(column, '') === '' ? null : number(column));
  return {
    name,
    model: row('model'),
    hardware: row('hardware', '') || row('gpu'),
    fp8: row('precision').toUpperCase() === 'FP8',
    tensorParallel: number('tp'),
    tokensPerStepMax: number('max_num_batched_tokens'),
    sequencesMax: number('max_num_seqs'),
    gpuMemoryUtilization: optional('gpu_memory_utilization'),
    blocksTotal: optional('kv_blocks'),
    workload: row('workload', '') || name.replace(/^.*-/, ''),
    groups: number('num_system_prompts'),
    usersPerGroup: number('users_per_system_prompt'),
    systemPromptTokens: number('system_prompt_len'),
    questionTokens: number('question_len'),
    promptTokensMean: optional('prompt_len_mean'),
    outputTokens: row('output_len', '') === '' ? number('max_output_tokens') : number('output_len'),
  };
}

function numbers(file: string, line: number, row: Row): (column: string) => number {
  return (column) => {
    const text = row(column);
    const value = Number(text);
    if (text === '' || !(Number.isFinite(value) && value >= 0)) {
      throw new MeasurementError(
        file,
        line,
        `${column}: ${JSON.stringify(text)} is not allowed; a number of at least 0`,
      );
    }
    return value;
  };
}
