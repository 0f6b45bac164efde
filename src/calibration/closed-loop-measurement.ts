import { MeasurementError } from './serving-measurement.ts';

/** A server that so many clients ask without a pause: `closed-loop-h100.csv` of ai-dynamo/aiconfigurator (`silicon_sample.csv`, Apache-2.0). */
export interface ClosedLoopMeasurement {
  readonly id: string;
  /** vllm, trtllm, sglang. */
  readonly backend: string;
  readonly backendVersion: string;
  /** Hugging Face repository. */
  readonly model: string;
  readonly system: string;
  readonly fp8: boolean;
  readonly tensorParallel: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly concurrency: number;
  readonly ttftMeanMs: number;
  readonly tpotMeanMs: number;
}

const COLUMNS = ['id', 'backend', 'model_path', 'isl', 'osl', 'silicon_ttft_ms', 'silicon_tpot_ms'] as const;

/** Whether a file is of this layout, by its header. */
export function isClosedLoop(text: string): boolean {
  return text.slice(0, text.indexOf('\n')).includes('silicon_ttft_ms');
}

/** One per row. Throws MeasurementError for a column that is missing or a value that is no positive number. */
export function closedLoopMeasurements(file: string, text: string): ClosedLoopMeasurement[] {
  const lines = text.trimEnd().split(/\r?\n/);
  const columns = new Map(lines[0]!.split(',').map((name, index) => [name, index]));
  for (const column of COLUMNS) {
    if (!columns.has(column)) throw new MeasurementError(file, 1, `column ${column} is missing`);
  }
  return lines.slice(1).map((line, index) => {
    const cells = line.split(',');
    const cell = (column: string) => cells[columns.get(column) ?? -1] ?? '';
    const positive = (column: string, otherwise?: string) => {
      const value = Number(cell(column) === '' && otherwise !== undefined ? cell(otherwise) : cell(column));
      if (Number.isFinite(value) && value > 0) return value;
      throw new MeasurementError(
        file,
        index + 2,
        `${column}: ${JSON.stringify(cell(column))} is not allowed; a number above 0`,
      );
    };
    return {
      id: cell('id'),
      backend: cell('backend'),
      backendVersion: cell('backend_version'),
      model: cell('model_path'),
      system: cell('system'),
      fp8: cell('precision') === 'fp8' || cell('gemm_quant_mode').startsWith('fp8'),
      tensorParallel: positive('tp_size'),
      promptTokens: positive('isl'),
      outputTokens: positive('osl'),
      // Files that leave the concurrency out have it as the batch size.
      concurrency: positive('concurrency', 'batch_size'),
      ttftMeanMs: positive('silicon_ttft_ms'),
      tpotMeanMs: positive('silicon_tpot_ms'),
    };
  });
}
