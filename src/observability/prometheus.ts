import { type Metric, Registry, type RegistryContentType } from 'prom-client';
import { type ExemplarSource, type ExposedFamily, ExposedMetric } from './exposed-metric.ts';
import type { MetricsPage } from './metrics-page.ts';
import { MetricsSnapshot } from './metrics-snapshot.ts';
import { PLACES } from './page-layout.ts';
import { VLLM_ALIASES, VLLM_CACHE_CONFIG_INFO } from './vllm-aliases.ts';

export const PROMETHEUS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;
export const OPENMETRICS_CONTENT_TYPE = Registry.OPENMETRICS_CONTENT_TYPE;

export interface RenderOptions {
  /** The OpenMetrics format, with `# EOF` and exemplars, in place of Prometheus' text format 0.0.4. */
  readonly openMetrics: boolean;
  /** vLLM's names beside ours. */
  readonly vllmAliases: boolean;
  /** Of kept traces. */
  readonly exemplars?: ExemplarSource;
}

/** Registries by page and form: one per content type, since a registry of prom-client must not change its own. */
const exposures = new WeakMap<MetricsPage, Map<string, Exposure>>();

/**
 * All series of a page as a scrape answers them. It reads the page alone: it works while the engine hangs. Values that belong
 * together are of one moment; a histogram's count is the sum of its buckets.
 */
export function renderMetrics(page: MetricsPage, options: RenderOptions): Promise<string> {
  let forms = exposures.get(page);
  if (forms === undefined) {
    forms = new Map();
    exposures.set(page, forms);
  }
  const form = `${options.openMetrics} ${options.vllmAliases}`;
  let exposure = forms.get(form);
  if (exposure === undefined) {
    exposure = new Exposure(page, options);
    forms.set(form, exposure);
  }
  return exposure.render(options.exemplars ?? null);
}

/** Whether an `Accept` header asks for OpenMetrics, as Prometheus' scrapers do. */
export function acceptsOpenMetrics(accept: string | undefined): boolean {
  return accept !== undefined && /\bapplication\/openmetrics-text\b/.test(accept);
}

class Exposure {
  private readonly page: MetricsPage;
  private readonly registry: Registry<RegistryContentType>;
  private readonly snapshot = new MetricsSnapshot();
  private exemplars: ExemplarSource | null = null;

  constructor(page: MetricsPage, options: RenderOptions) {
    this.page = page;
    this.registry = new Registry<RegistryContentType>();
    // Before anything is registered, and never again: a change later would strip the names of counters for good.
    this.registry.setContentType(options.openMetrics ? OPENMETRICS_CONTENT_TYPE : PROMETHEUS_CONTENT_TYPE);
    const source: ExemplarSource | null = options.openMetrics
      ? (metric, series, bucket) => this.exemplars?.(metric, series, bucket) ?? null
      : null;
    for (const place of PLACES.values()) {
      if (place.definition.type === 'info') this.register(this.info('engine_info', place.definition.help, null));
      else this.register(new ExposedMetric(place, null, this.snapshot, ONE, source, options.openMetrics));
    }
    if (!options.vllmAliases) return;
    const tokensPerBlock = () => Number(this.page.getInfo()?.['block_size'] ?? Number.NaN);
    for (const alias of VLLM_ALIASES) {
      const place = PLACES.get(alias.from)!;
      const factor = alias.inTokens === true ? tokensPerBlock : ONE;
      this.register(new ExposedMetric(place, alias, this.snapshot, factor, source, options.openMetrics));
    }
    this.register(
      this.info(VLLM_CACHE_CONFIG_INFO, 'Block size and number of KV blocks', ['block_size', 'num_gpu_blocks']),
    );
  }

  render(exemplars: ExemplarSource | null): Promise<string> {
    this.snapshot.take(this.page);
    this.exemplars = exemplars;
    return this.registry.metrics();
  }

  /** A gauge of 1 with the labels that the engine has written; `only` some of them, or all. */
  private info(name: string, help: string, only: readonly string[] | null): FamilySource {
    return {
      name,
      get: (): ExposedFamily => {
        const info = this.page.getInfo();
        const kept = Object.entries(info ?? {}).filter(([label]) => only === null || only.includes(label));
        const values = info === null ? [] : [{ value: 1, metricName: name, labels: Object.fromEntries(kept) }];
        return { name, help, type: 'gauge', values, aggregator: 'sum' };
      },
    };
  }

  /** The registry only calls `get`, whose answer its own metrics give as well. */
  private register(metric: FamilySource): void {
    this.registry.registerMetric(metric as unknown as Metric);
  }
}

/** The part of a metric of prom-client that a registry uses. */
interface FamilySource {
  readonly name: string;
  get(): ExposedFamily;
}

const ONE = () => 1;
