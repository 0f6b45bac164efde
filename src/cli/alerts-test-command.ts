import { Command } from 'commander';
import { loadScenario } from '../config/load-scenario.ts';
import { type AlertsTest, type AlertsTestInput, passes, testAlerts } from '../runtime/alerts-test/alerts-test.ts';
import { WorldRecord } from '../runtime/alerts-test/world-record.ts';
import { writeAlertsReport } from '../runtime/alerts-test/write-alerts-report.ts';
import { MetricsObserver } from '../runtime/metrics-observer.ts';
import { readRecording } from '../runtime/metrics-recording.ts';
import { alertsText } from './alerts-test-text.ts';
import { scenarioPath } from './bundled-scenarios.ts';
import { EXIT } from './exit-codes.ts';
import { Interruption } from './interruption.ts';
import { resolveWithFlags } from './resolve-with-flags.ts';
import { type CliContext, simulated } from './run-twin.ts';

const CLEAR_TO_END = '\u001B[K';

interface AlertsTestFlags {
  readonly json?: boolean;
  readonly prometheus?: boolean;
  readonly out?: string;
  readonly quiet?: boolean;
}

/** `twinfer alerts test SCENARIO|RECORDING`: which alerts fire, whether they should, and how well they do. */
export function alertsTestCommand(context: CliContext): Command {
  return new Command('test')
    .description('Simulate a scenario, or read recorded metrics, and judge the alerts by it')
    .argument(
      '<scenario>',
      'path of a scenario (YAML) or name of a bundled one; or a recording of metrics (.jsonl, .gz)',
    )
    .option('--prometheus', 'let a real Prometheus judge the same samples; exit code 1 where it differs')
    .option(
      '--out <dir>',
      'write alerts.html (incidents, violations and alerts over time) and alerts.json into this folder',
    )
    .option('--json', 'print one JSON document instead of tables')
    .option('--quiet', 'no progress, no notes')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer alerts test scenarios/alerts/day.yaml
  $ twinfer alerts test scenarios/alerts/day.yaml --prometheus --out out/alerts
  $ twinfer alerts test recording.jsonl.gz --json | jq '.intervals[].alert'

Exit codes: 0 as expected; 1 an alert fired that must not, or did not that must, or Prometheus differs; 2 bad input.`,
    )
    .action((scenario: string, flags: AlertsTestFlags) => run(context, scenario, flags));
}

async function run(context: CliContext, path: string, flags: AlertsTestFlags): Promise<void> {
  const { io } = context;
  const quiet = flags.quiet === true || flags.json === true;
  const note = (text: string) => {
    if (!quiet) io.stderr.write(`${text}\n`);
  };
  const input = await inputOf(context, path, quiet);
  const result = await judged(context, input, flags, quiet);
  io.stdout.write(flags.json === true ? `${JSON.stringify(result, null, 2)}\n` : alertsText(result));
  if (flags.out !== undefined) for (const file of writeAlertsReport(flags.out, result)) note(`written: ${file}`);
  note(timesText(result));
  if (!passes(result)) context.exit(EXIT.missed);
}

/** A signal ends what it starts; nothing is left behind. */
async function judged(
  { io }: CliContext,
  input: AlertsTestInput,
  flags: AlertsTestFlags,
  quiet: boolean,
): Promise<AlertsTest> {
  const interruption = new Interruption(io.signals);
  const shown = !quiet && io.stderr.isTTY === true;
  const progress = (doing: string) => {
    interruption.check();
    if (shown) io.stderr.write(`\r${doing}${CLEAR_TO_END}`);
  };
  try {
    return await testAlerts(input, { prometheus: flags.prometheus === true, progress });
  } finally {
    interruption.close();
    if (shown) io.stderr.write(`\r${CLEAR_TO_END}`);
  }
}

async function inputOf(context: CliContext, path: string, quiet: boolean): Promise<AlertsTestInput> {
  if (/\.jsonl(\.gz)?$/.test(path)) {
    const history = await readRecording(path);
    return { name: path, history, world: null };
  }
  const spec = resolveWithFlags(loadScenario(scenarioPath(path)), {});
  context.running(spec);
  const observer = MetricsObserver.of(spec);
  const record = new WorldRecord(observer.history.intervalSeconds);
  await simulated(context, spec, quiet, [observer, record]);
  return { name: spec.scenario, history: observer.history, world: { record, spec } };
}

function timesText({ wallSeconds }: AlertsTest): string {
  const { judging, prometheus } = wallSeconds;
  const asked = prometheus === null ? '' : `, Prometheus ${prometheus.toFixed(1)} s`;
  return `judged in ${judging.toFixed(1)} s${asked}`;
}
