import { DEFAULT_JOB } from './promql.ts';
import { RULES_INTERVAL_SECONDS, yaml } from './rules-file.ts';

export interface PrometheusOptions {
  /** Servers of Twinfer, `host:port`. */
  readonly targets: readonly string[];
  /** Of Alertmanager, `host:port`. */
  readonly alertmanagers: readonly string[];
  readonly ruleFiles: readonly string[];
  readonly job?: string;
  readonly intervalSeconds?: number;
}

/** A configuration of Prometheus that scrapes servers under the job that the rules ask for. */
export function prometheusConfig(options: PrometheusOptions): string {
  const { targets, alertmanagers, ruleFiles, job = DEFAULT_JOB, intervalSeconds = RULES_INTERVAL_SECONDS } = options;
  const interval = intervalSeconds < 1 ? `${Math.round(intervalSeconds * 1000)}ms` : `${intervalSeconds}s`;
  return yaml({
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: ruleFiles,
    alerting: { alertmanagers: [{ static_configs: [{ targets: alertmanagers }] }] },
    scrape_configs: [{ job_name: job, metrics_path: '/metrics', static_configs: [{ targets }] }],
  });
}
