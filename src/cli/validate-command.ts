import Table from 'cli-table3';
import { Command } from 'commander';
import type { LoopSummary } from '../calibration/closed-loop-validation.ts';
import type {
  MetricSummary,
  ValidatedStage,
  ValidationSummary,
  WorstStage,
} from '../calibration/serving-validation.ts';
import { validationPage } from '../calibration/validation-page.ts';
import { bundledHostProfile, readHostProfile } from '../runtime/host-profile-file.ts';
import { OutputFiles } from '../runtime/output-files.ts';
import { type ServingValidation, validateServing } from '../runtime/validate-serving.ts';
import { PLAIN_TABLE } from './plain-table.ts';
import { untilStopped, workView } from './progress-bar.ts';
import type { CliContext } from './run-twin.ts';

interface ValidateOptions {
  readonly host?: string;
  readonly leaveOneModelOut?: true;
  readonly json?: true;
  readonly html?: string;
}

const SEED = 1;

/** `twinfer validate CSV...`: measured serving runs against what the engine predicts of them. */
export function validateCommand(context: CliContext): Command {
  return new Command('validate')
    .description('Run measured serving stages through the twin and say how far off it is')
    .argument('<csv...>', 'measurements of inference-perf runs, one row a stage; or of closed loops (aiconfigurator)')
    .option('--host <file>', 'engine host profile (default: the bundled one of vLLM 0.15)')
    .option('--leave-one-model-out', 'predict each model with a host fitted without it; takes a minute or two')
    .option('--html <file>', 'write a page with plots of predicted against measured')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer validate vllm-0.15-open-loop.csv vllm-0.15-open-loop-more-models.csv
  $ twinfer validate --html validation.html vllm-0.15-open-loop.csv
  $ twinfer validate --leave-one-model-out --json vllm-0.15-open-loop.csv`,
    )
    .action((files: string[], options: ValidateOptions) => validate(context, files, options));
}

function validate({ io, command }: CliContext, files: string[], options: ValidateOptions): void {
  const host = options.host === undefined ? bundledHostProfile() : readHostProfile(options.host);
  const view = workView(io.stderr, 'stages');
  const leaveOneModelOut = options.leaveOneModelOut === true;
  const result = untilStopped(view, () => validateServing({ files, host, seed: SEED, leaveOneModelOut }, view.update));
  if (options.html !== undefined) writePage(options.html, validationPage({ ...result, command }));
  io.stdout.write(options.json === true ? `${JSON.stringify(result, null, 2)}\n` : text(result));
}

function writePage(path: string, page: string): void {
  const files = new OutputFiles();
  try {
    files.create('--html', path).write(page);
    files.commit();
  } finally {
    files.abandon();
  }
}

function text({ stages, summary, worst, closedLoopSummary, wallSeconds }: ServingValidation): string {
  const parts: string[] = [];
  if (stages.length > 0) parts.push(stageTable(stages), summaryTable(summary), worstTable(worst));
  if (closedLoopSummary.length > 0) parts.push(loopTable(closedLoopSummary));
  const loops = closedLoopSummary.reduce((sum, { count }) => sum + count, 0);
  parts.push(`${stages.length} stages and ${loops} closed loops in ${wallSeconds.toFixed(1)} s`);
  return `${parts.join('\n\n')}\n`;
}

function worstTable(worst: readonly WorstStage[]): string {
  const table = new Table({ ...PLAIN_TABLE, head: ['the worst: model', 'load', 'rate/s', 'farthest mean', 'error'] });
  for (const { model, workload, stage, ratePerSecond, metric, error } of worst) {
    table.push([model.replace(/^.*\//, ''), `${workload} ${stage}`, String(ratePerSecond), metric, signed(error)]);
  }
  return table.toString();
}

function loopTable(summaries: readonly LoopSummary[]): string {
  const head = ['closed loops: engine', 'model', 'rows', 'TTFT error', 'TTFT bias', 'TPOT error', 'TPOT bias'];
  const table = new Table({ ...PLAIN_TABLE, head });
  for (const { backend, model, fp8, count, ttftMean, tpotMean } of summaries) {
    table.push([
      backend,
      `${model.replace(/^.*\//, '')}${fp8 ? ' fp8' : ''}`,
      String(count),
      percent(ttftMean.medianAbsError),
      signed(ttftMean.bias),
      percent(tpotMean.medianAbsError),
      signed(tpotMean.bias),
    ]);
  }
  return table.toString();
}

function stageTable(stages: readonly ValidatedStage[]): string {
  const table = new Table({
    ...PLAIN_TABLE,
    head: ['run', 'model', 'load', 'rate/s', 'E2E ms', 'E2E', 'E2E p99', 'TTFT ms', 'TTFT', 'TTFT p99', 'TPOT'],
  });
  for (const stage of stages) {
    const { errors, measuredMs } = stage;
    const load = `${stage.workload} ${stage.stage}${stage.cold ? ' cold' : ''}`;
    const about = [stage.run.slice(-24), stage.model.replace(/^.*\//, ''), load, String(stage.ratePerSecond)];
    if (errors === null) {
      table.push([...about, { colSpan: 7, content: `${stage.status}: ${stage.reason}` }]);
      continue;
    }
    table.push([
      ...about,
      measuredMs.e2eMean.toFixed(0),
      signed(errors.e2eMean),
      signed(errors.e2eP99),
      measuredMs.ttftMean.toFixed(1),
      signed(errors.ttftMean),
      signed(errors.ttftP99),
      signed(errors.tpotMean),
    ]);
  }
  return table.toString();
}

function summaryTable(summary: ValidationSummary): string {
  const table = new Table({
    ...PLAIN_TABLE,
    head: ['metric', 'stages', 'median error', 'mean error', 'p90 error', 'bias', 'inside 90 %', 'half-width'],
  });
  for (const [metric, figures] of Object.entries(summary) as [string, MetricSummary][]) {
    table.push([
      metric,
      String(figures.count),
      percent(figures.medianAbsError),
      percent(figures.meanAbsError),
      percent(figures.p90AbsError),
      signed(figures.bias),
      figures.coverage === null ? '' : percent(figures.coverage),
      figures.halfWidth === null ? '' : percent(figures.halfWidth),
    ]);
  }
  return table.toString();
}

function percent(ratio: number): string {
  return Number.isNaN(ratio) ? '' : `${(ratio * 100).toFixed(1)} %`;
}

function signed(ratio: number): string {
  return Number.isNaN(ratio) ? '' : `${ratio < 0 ? '' : '+'}${(ratio * 100).toFixed(1)} %`;
}
