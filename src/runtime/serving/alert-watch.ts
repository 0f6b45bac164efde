import type { Logger } from 'pino';
import {
  type ActiveAlert,
  ALERT_RULES,
  AlertEvaluation,
  type AlertRule,
  type AlertTransition,
  RULES_INTERVAL_SECONDS,
} from '../../observability/alerts/index.ts';
import { type MetricsPage, MetricsSnapshot } from '../../observability/index.ts';

const LEVELS = { critical: 'error', warning: 'warn', info: 'info' } as const;

/**
 * Judges the alert rules in the server itself, so that the log and the dashboard say what a Prometheus would, where there is none.
 * It samples the metrics page as often as a Prometheus scrapes, asks the engine for nothing and goes on while the engine hangs. What
 * it cannot see is its own end: `EngineDown` needs an observer from outside.
 */
export class AlertWatch {
  private readonly page: MetricsPage;
  private readonly log: Logger;
  private readonly evaluation: AlertEvaluation;
  private readonly snapshot = new MetricsSnapshot();
  private dueSeconds = Number.NEGATIVE_INFINITY;
  private active: readonly ActiveAlert[] = [];

  constructor(page: MetricsPage, log: Logger, rules: readonly AlertRule[] = ALERT_RULES) {
    this.page = page;
    this.log = log;
    this.evaluation = new AlertEvaluation(rules);
  }

  /** To be called about once a second; times are seconds since 1970 and ascend. */
  tick(nowSeconds: number): void {
    if (nowSeconds < this.dueSeconds) return;
    // On the grid of the first sample, unless a whole interval was missed.
    const lateSeconds = nowSeconds - this.dueSeconds;
    this.dueSeconds = (lateSeconds < RULES_INTERVAL_SECONDS ? this.dueSeconds : nowSeconds) + RULES_INTERVAL_SECONDS;
    this.snapshot.take(this.page);
    for (const transition of this.evaluation.step(nowSeconds, this.snapshot.cells)) this.tell(transition);
    this.active = this.evaluation.current();
  }

  /** Alerts that are pending or firing, as of the last sample. */
  current(): readonly ActiveAlert[] {
    return this.active;
  }

  private tell({ alert, severity, labels, from, to, value, summary }: AlertTransition): void {
    const { job: _job, instance: _instance, ...own } = labels;
    const fields = { alert, severity, labels: own, value, summary };
    if (to === 'firing') this.log[LEVELS[severity]](fields, 'alert firing');
    else if (from === 'firing') this.log.info(fields, 'alert resolved');
    else this.log.debug(fields, `alert ${to}`);
  }
}
