import { INHIBITIONS } from './alert-rules.ts';
import { yaml } from './rules-file.ts';

export interface AlertmanagerOptions {
  /** Receives a POST for each group of alerts that fire or end. */
  readonly webhookUrl: string;
  /** How long a group waits for what belongs to it, causes that keep others silent above all; seconds. */
  readonly groupWaitSeconds?: number;
}

/** A configuration of Alertmanager: critical alerts and warnings to a webhook, hints to nobody, causes keep effects silent. */
export function alertmanagerConfig({ webhookUrl, groupWaitSeconds = 15 }: AlertmanagerOptions): string {
  return yaml({
    route: {
      receiver: 'on-call',
      group_by: ['alertname', 'job', 'instance'],
      group_wait: `${groupWaitSeconds}s`,
      group_interval: '1m',
      repeat_interval: '4h',
      routes: [{ receiver: 'nobody', matchers: ['severity="info"'] }],
    },
    receivers: [{ name: 'on-call', webhook_configs: [{ url: webhookUrl, send_resolved: true }] }, { name: 'nobody' }],
    inhibit_rules: INHIBITIONS.map(({ source, targets }) => ({
      source_matchers: [`alertname="${source}"`],
      target_matchers: [targets.length === 1 ? `alertname="${targets[0]}"` : `alertname=~"${targets.join('|')}"`],
      equal: ['job', 'instance'],
    })),
  });
}
