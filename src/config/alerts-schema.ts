import { z } from 'zod';
import { ALERT_RULES } from '../observability/alerts/index.ts';

const NAMES = ALERT_RULES.map((rule) => rule.name) as [string, ...string[]];
const alerts = (description: string) => z.array(z.enum(NAMES)).max(NAMES.length).describe(description);

/** Which alerts a run has to raise, and which it must not. */
export const alertsSchema = z
  .strictObject({
    must_fire: alerts('Alerts that have to fire').default([]),
    must_not_fire: z
      .union([z.literal('others'), alerts('Alerts that must not fire')])
      .meta({ allowed: 'others, or a list of alerts' })
      .describe('Alerts that must not fire; others: all that are not in must_fire')
      .default([]),
  })
  .describe('What twinfer alerts test holds the run to');

export type AlertsSection = z.output<typeof alertsSchema>;

/** Names of alerts, none in both. */
export interface AlertExpectations {
  readonly mustFire: readonly string[];
  readonly mustNotFire: readonly string[];
}

export function alertExpectations(section: AlertsSection | undefined): AlertExpectations {
  if (section === undefined) return { mustFire: [], mustNotFire: [] };
  const { must_fire: mustFire, must_not_fire: not } = section;
  return { mustFire, mustNotFire: not === 'others' ? NAMES.filter((name) => !mustFire.includes(name)) : not };
}
