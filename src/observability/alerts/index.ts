export * from './alert-evaluation.ts';
export * from './alert-history.ts';
export * from './alert-rule.ts';
export * from './alert-rules.ts';
export * from './evaluate-alerts.ts';
export * from './expression.ts';
export * from './expression-evaluation.ts';
export * from './promql.ts';
