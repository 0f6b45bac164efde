import Table from 'cli-table3';
import { Command } from 'commander';
import {
  ALERT_RULES,
  alertmanagerConfig,
  DEFAULT_JOB,
  DEFAULT_RUNBOOK,
  prometheusConfig,
  promql,
  promqlDuration,
  RULES_NAME,
  rulesFile,
  runbookUrl,
  SLO_INTERVAL_SECONDS,
  SLO_RULES,
  SLO_RULES_NAME,
  thresholdsOf,
  WEBHOOK_URL,
} from '../observability/alerts/index.ts';
import { UsageError } from './exit-codes.ts';
import { numberFlag } from './number-flags.ts';
import { PLAIN_TABLE } from './plain-table.ts';
import type { CliContext } from './run-twin.ts';

/** `twinfer alerts`: the alert rules, and the files that Prometheus and Alertmanager want. `more`: subcommands from elsewhere. */
export function alertsCommand(context: CliContext, more: readonly Command[] = []): Command {
  const command = new Command('alerts').description(
    'Alert rules, and the files of Prometheus and Alertmanager for them',
  );
  for (const each of [list(context), rules(context), alertmanager(context), prometheus(context), ...more]) {
    command.addCommand(each);
  }
  return command.addHelpText(
    'after',
    `
Examples:
  $ twinfer alerts list
  $ twinfer alerts rules --runbook-base https://runbooks.example/twinfer > rules.yml
  $ twinfer alerts alertmanager --webhook http://127.0.0.1:9099/alerts > alertmanager.yml`,
  );
}

function list(context: CliContext): Command {
  return new Command('list')
    .description('List the alerts, those of the TTFT objective last')
    .option('--json', 'print a JSON list')
    .addHelpText('after', "\nExamples:\n  $ twinfer alerts list\n  $ twinfer alerts list --json | jq -r '.[].expr'")
    .action((options: { readonly json?: boolean }) => {
      const all = [...ALERT_RULES, ...SLO_RULES];
      if (options.json === true) {
        const rows = all.map((rule) => ({
          alert: rule.name,
          severity: rule.severity,
          expr: promql(rule.condition),
          for_seconds: rule.forSeconds,
          thresholds: thresholdsOf(rule),
          summary: rule.summary,
          runbook: runbookUrl(rule.name),
        }));
        context.io.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
        return;
      }
      const table = new Table({
        ...PLAIN_TABLE,
        head: ['alert', 'severity', 'for', 'fires when this holds'],
        colWidths: [null, null, null, 100],
        wordWrap: true,
      });
      for (const rule of all) {
        table.push([rule.name, rule.severity, promqlDuration(rule.forSeconds), promql(rule.condition)]);
      }
      context.io.stdout.write(`${table.toString()}\n`);
    });
}

interface RulesOptions {
  readonly slo?: boolean;
  readonly job: string;
  readonly runbookBase: string;
  readonly timeFactor: number;
}

function rules(context: CliContext): Command {
  return new Command('rules')
    .description('Print the rules file of Prometheus')
    .option('--slo', 'the burn rates of the TTFT objective (99 % within 500 ms) in place of the alerts')
    .option('--job <name>', 'job under which Prometheus scrapes the servers', DEFAULT_JOB)
    .option('--runbook-base <url>', 'page that runbook_url points into', DEFAULT_RUNBOOK)
    .option(
      '--time-factor <number>',
      'multiply ranges, for and interval: 0.02 makes a demonstration of 5 minutes take 6 seconds',
      numberFlag('--time-factor', { min: 0.001, max: 1000, integer: false, words: 'a number in [0.001, 1000]' }),
      1,
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinfer alerts rules > rules.yml\n  $ twinfer alerts rules --slo --job llm > slo.rules.yml',
    )
    .action(({ slo, job, runbookBase, timeFactor }: RulesOptions) => {
      const options = { job, runbookBase, timeFactor };
      const text =
        slo === true
          ? rulesFile(SLO_RULES, { ...options, name: SLO_RULES_NAME, intervalSeconds: SLO_INTERVAL_SECONDS })
          : rulesFile(ALERT_RULES, { ...options, name: RULES_NAME });
      context.io.stdout.write(text);
    });
}

function alertmanager(context: CliContext): Command {
  return new Command('alertmanager')
    .description('Print a configuration of Alertmanager: a webhook, and which alerts keep which silent')
    .option('--webhook <url>', 'where alerts are sent', httpUrl('--webhook'), WEBHOOK_URL)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinfer alerts alertmanager --webhook https://hooks.example/llm > alertmanager.yml',
    )
    .action(({ webhook }: { readonly webhook: string }) => {
      context.io.stdout.write(alertmanagerConfig({ webhookUrl: webhook }));
    });
}

interface PrometheusOptions {
  readonly target: readonly string[];
  readonly alertmanager: readonly string[];
  readonly job: string;
}

function prometheus(context: CliContext): Command {
  return new Command('prometheus')
    .description('Print a configuration of Prometheus that scrapes servers and reads rules.yml and slo.rules.yml')
    .option('--target <host:port...>', 'servers of Twinfer', ['127.0.0.1:8000'])
    .option('--alertmanager <host:port...>', 'Alertmanagers', ['127.0.0.1:9093'])
    .option('--job <name>', 'job of the servers, as in the rules', DEFAULT_JOB)
    .addHelpText('after', '\nExamples:\n  $ twinfer alerts prometheus --target gpu-1:8000 gpu-2:8000 > prometheus.yml')
    .action(({ target, alertmanager, job }: PrometheusOptions) => {
      const ruleFiles = ['rules.yml', 'slo.rules.yml'];
      context.io.stdout.write(prometheusConfig({ targets: target, alertmanagers: alertmanager, ruleFiles, job }));
    });
}

function httpUrl(flag: string): (text: string) => string {
  return (text) => {
    if (!/^https?:\/\/\S+$/.test(text) || !URL.canParse(text)) {
      throw new UsageError(`${flag}: ${JSON.stringify(text)} is not allowed; allowed: a URL with http or https`);
    }
    return text;
  };
}
