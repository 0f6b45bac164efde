export * from './catalogue.ts';
export * from './engine-metrics.ts';
export * from './gateway-metrics.ts';
export * from './metric-definition.ts';
export * from './metrics-history.ts';
export * from './metrics-page.ts';
export * from './metrics-snapshot.ts';
export { CELLS_TOTAL, cellOf, HIDDEN_CELLS, type HiddenCell, type MetricPlace, PLACES } from './page-layout.ts';
export * from './prometheus.ts';
