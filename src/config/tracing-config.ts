import type { LoadedYaml } from './load-yaml.ts';
import type { OtlpProtocol, TracingConfig } from './serve-config.ts';
import type { ServeSection } from './serve-schema.ts';
import { durationNs } from './units.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const PROTOCOLS: readonly OtlpProtocol[] = ['http/protobuf', 'http/json', 'grpc'];
const RATIO_DEFAULT = 0.1;

/**
 * Section `tracing` and OpenTelemetry's own variables as one value; null = no traces. The file goes before the environment, but
 * for OTEL_SDK_DISABLED, which switches off whatever else is said.
 */
export function tracingOf(
  loaded: LoadedYaml<ServeSection>,
  environment: Environment = process.env,
): TracingConfig | null {
  const { tracing } = loaded.value;
  if (environment['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') return null;
  const named =
    tracing.endpoint ??
    set(environment, 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') ??
    set(environment, 'OTEL_EXPORTER_OTLP_ENDPOINT');
  const wanted = named !== undefined && set(environment, 'OTEL_TRACES_EXPORTER') !== 'none';
  if (!(tracing.enabled ?? wanted)) return null;
  return {
    endpoint: tracing.endpoint ?? null,
    protocol: tracing.protocol ?? protocolOf(loaded, environment),
    sampleRatio: tracing.sample_ratio ?? ratioOf(loaded, environment),
    slowTtftMs: durationNs(tracing.slow_ttft) / 1e6,
    userId: tracing.user_id,
    tokenIds: tracing.token_ids,
    queueSpansMax: tracing.max_queue,
  };
}

/** Where spans go: the configuration's collector, else OpenTelemetry's variables, else where a collector listens by default. */
export function collectorAddress(tracing: TracingConfig, environment: Environment = process.env): string {
  return (
    tracing.endpoint ??
    set(environment, 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') ??
    set(environment, 'OTEL_EXPORTER_OTLP_ENDPOINT') ??
    (tracing.protocol === 'grpc' ? 'http://localhost:4317' : 'http://localhost:4318')
  );
}

/** An empty variable counts as unset. */
function set(environment: Environment, name: string): string | undefined {
  const value = environment[name]?.trim();
  return value === '' ? undefined : value;
}

function protocolOf(loaded: LoadedYaml<ServeSection>, environment: Environment): OtlpProtocol {
  const names = ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL'];
  const name = names.find((each) => set(environment, each) !== undefined);
  if (name === undefined) return 'http/protobuf';
  const value = set(environment, name)!;
  const found = PROTOCOLS.find((each) => each === value);
  return found ?? loaded.fail(['tracing'], `${name}=${value} is not allowed; allowed: ${PROTOCOLS.join(', ')}`);
}

/** What OTEL_TRACES_SAMPLER means for the share: its samplers always_on, always_off and traceidratio, parent-based or not. */
function ratioOf(loaded: LoadedYaml<ServeSection>, environment: Environment): number {
  const sampler = set(environment, 'OTEL_TRACES_SAMPLER')?.replace(/^parentbased_/, '');
  if (sampler === 'always_on') return 1;
  if (sampler === 'always_off') return 0;
  const argument = set(environment, 'OTEL_TRACES_SAMPLER_ARG');
  if (sampler !== 'traceidratio' || argument === undefined) return RATIO_DEFAULT;
  const ratio = Number(argument);
  if (ratio >= 0 && ratio <= 1) return ratio;
  return loaded.fail(['tracing'], `OTEL_TRACES_SAMPLER_ARG=${argument} is not allowed; allowed: a number in [0, 1]`);
}
