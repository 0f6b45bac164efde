export * from './catalogue.ts';
export * from './engine-metrics.ts';
export * from './gateway-metrics.ts';
export * from './metric-definition.ts';
export * from './metrics-page.ts';
export * from './prometheus.ts';
