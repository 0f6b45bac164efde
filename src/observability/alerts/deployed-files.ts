import { ALERT_RULES } from './alert-rules.ts';
import { alertmanagerConfig } from './alertmanager-config.ts';
import { prometheusConfig } from './prometheus-config.ts';
import { rulesFile } from './rules-file.ts';
import { SLO_RULES } from './slo-rules.ts';

/** Where the example's servers listen: Twinfer, Alertmanager, and whoever is told. */
const TARGET = '127.0.0.1:8000';
const ALERTMANAGER = '127.0.0.1:9093';
export const WEBHOOK_URL = 'http://127.0.0.1:9099/alerts';

export const RULES_NAME = 'llm_inference';
export const SLO_RULES_NAME = 'llm_inference_slo';
/** Windows of days need no look four times a minute. */
export const SLO_INTERVAL_SECONDS = 60;

const NOTE =
  '# Written by src/runtime/write-alert-rules.ts from the rules in src/observability/alerts/; not by hand.\n';

/** The files of deploy/prometheus/ by name: an example that works on one machine. */
export function deployedFiles(): ReadonlyMap<string, string> {
  const files = {
    'rules.yml': rulesFile(ALERT_RULES, { name: RULES_NAME }),
    'slo.rules.yml': rulesFile(SLO_RULES, { name: SLO_RULES_NAME, intervalSeconds: SLO_INTERVAL_SECONDS }),
    'alertmanager.yml': alertmanagerConfig({ webhookUrl: WEBHOOK_URL }),
    'prometheus.yml': prometheusConfig({
      targets: [TARGET],
      alertmanagers: [ALERTMANAGER],
      ruleFiles: ['rules.yml', 'slo.rules.yml'],
    }),
  };
  return new Map(Object.entries(files).map(([name, text]) => [name, NOTE + text]));
}
