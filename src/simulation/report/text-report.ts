import Table from 'cli-table3';
import type { LatencySummary } from '../latency-series.ts';
import type { RecordedRun } from '../run-recorder.ts';
import type { RunSummary } from '../run-summary.ts';
import type { TargetResult } from '../targets.ts';
import { capacityText, utilizationText } from './capacity-text.ts';
import { predictionNote, predictionRows } from './prediction-rows.ts';
import { countText, durationText, numberText, percentText } from './quantities.ts';

/** The result of a run for the eye: latencies, throughput, queues and KV, books, targets. Plain text, no colour. */
export function textReport(run: RecordedRun, summary: RunSummary): string {
  const parts = [headline(summary), timingLines(summary), ...latencies(summary)];
  parts.push(figuresTable(run, summary), booksTable(run, summary));
  if (summary.targets !== undefined) parts.push(targetsTable(summary.targets));
  parts.push(`digest ${summary.digest} (${run.digestMode}), seed ${summary.seed}`);
  return parts.join('\n\n') + '\n';
}

function headline(summary: RunSummary): string {
  return (
    `${summary.scenario}: ${countText(summary.requests.injected)} requests, ` +
    `${durationText(summary.simulatedSeconds)} simulated in ${durationText(summary.wallSeconds)} ` +
    `(${numberText(summary.requestsPerWallSecond)} requests/s of wall time)`
  );
}

/** Latencies with what they are worth; past saturation only that it is past. */
function latencies(summary: RunSummary): string[] {
  const { capacity, prediction } = summary;
  const load = capacity === null ? [] : [`${capacityText(capacity)}\nIn use, mean: ${utilizationText(capacity)}`];
  if (capacity?.saturated === true) return load;
  const parts = [latencyTable(summary)];
  if (prediction !== null) {
    const rows = predictionRows(prediction);
    const note = predictionNote(prediction, summary.timing.host);
    const table = rows.length === 0 ? [] : [intervalTable(rows)];
    parts.push([...table, ...(note === '' ? [] : [`Prediction: ${note}`])].join('\n'));
  }
  return [...parts.filter((part) => part !== ''), ...load];
}

function intervalTable(rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: ['90 % interval', 'predicted', 'from', 'to'],
    colAligns: ['left', 'right', 'right', 'right'],
    style: PLAIN,
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}

/** What the times are worth: where they come from, and what was not measured. */
function timingLines({ timing }: RunSummary): string {
  const from = `Timing    ${timing.model}, ${timing.device}, host ${timing.host}`;
  if (timing.extrapolations.length === 0) return from;
  return `${from}\nBeyond the measured tables: ${timing.extrapolations.join('; ')}`;
}

const LATENCY_ROWS = [
  ['TTFT', 'ttft'],
  ['TPOT', 'tpot'],
  ['ITL', 'itl'],
  ['E2E', 'e2e'],
  ['Queue', 'queue'],
] as const;

function latencyTable(summary: RunSummary): string {
  const table = new Table({
    head: ['Latency', 'mean', 'p50', 'p90', 'p95', 'p99', 'max'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
    style: PLAIN,
  });
  for (const [label, name] of LATENCY_ROWS) table.push([label, ...latencyCells(summary.latencySeconds[name])]);
  return table.toString();
}

function latencyCells(latency: LatencySummary): string[] {
  return [latency.mean, latency.p50, latency.p90, latency.p95, latency.p99, latency.max].map(durationText);
}

function figuresTable(run: RecordedRun, summary: RunSummary): string {
  const { throughput, kv, tokens } = summary;
  const table = new Table({ colAligns: ['left', 'right', 'left', 'right'], style: PLAIN });
  const used = `${countText(kv.blocksUsedPeak)} of ${countText(kv.blocksTotal)} (${percentText(kv.blocksUsedPeak / kv.blocksTotal)})`;
  table.push(
    ['Requests/s', numberText(throughput.requestsPerSecond), 'Running, peak', countText(run.peaks.running)],
    ['Output tokens/s', numberText(throughput.outputTokensPerSecond), 'Waiting, peak', countText(run.peaks.waiting)],
    ['Total tokens/s', numberText(throughput.totalTokensPerSecond), 'Swapped, peak', countText(run.peaks.swapped)],
    ['Steps', countText(summary.steps), 'KV blocks, peak', used],
    ['Sequence-steps', countText(summary.sequenceSteps), 'Evictions', countText(kv.evictions)],
    [
      'Prefix hits',
      percentText(kv.prefixHitRatio),
      'Preemptions: memory',
      countText(summary.preemptions.memoryPressure),
    ],
    ['Output tokens', countText(tokens.output), 'Preemptions: priority', countText(summary.preemptions.priority)],
  );
  return table.toString();
}

function booksTable(run: RecordedRun, summary: RunSummary): string {
  const { requests, tokens } = summary;
  const refused = Object.entries(run.rejections).map(([reason, count]) => `${countText(count)} ${reason}`);
  const lines = [
    `Requests  ${countText(requests.injected)} injected = ${countText(requests.completed)} completed` +
      ` + ${countText(requests.rejected)} rejected + ${countText(requests.aborted)} aborted` +
      ` + ${countText(requests.timedOut)} timed out + ${countText(requests.failed)} failed`,
    `Prompt    ${countText(tokens.scheduledPrompt)} scheduled = ${countText(tokens.prompt)} prompt` +
      ` - ${countText(tokens.cachedPrompt)} cached + ${countText(tokens.recomputedPrompt)} recomputed`,
  ];
  if (refused.length > 0) lines.push(`Rejected  ${refused.join(', ')}`);
  return lines.join('\n');
}

function targetsTable(targets: readonly TargetResult[]): string {
  const table = new Table({
    head: ['Target', 'wanted', 'actual', ''],
    colAligns: ['left', 'right', 'right', 'left'],
    style: PLAIN,
  });
  for (const result of targets) {
    table.push([result.name, result.target, actualText(result), result.pass ? 'pass' : 'FAIL']);
  }
  return table.toString();
}

/** The actual value in the target's own unit, so that the two can be compared. */
export function actualText(result: TargetResult): string {
  if (result.actual === null) return '-';
  const rounded = Number(result.actual.toPrecision(4));
  return result.target.endsWith(' s') ? `${rounded} s` : String(rounded);
}

const PLAIN = { head: [], border: [], compact: true };
