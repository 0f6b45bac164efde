export * from './alert-history.ts';
export * from './alert-rule.ts';
export * from './expression.ts';
