import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  catalogueModel,
  H100_SXM,
  ModelledHostTimer,
  RooflineTimingModel,
  SimulatedBackend,
} from '../src/backends/simulated/index.ts';
import {
  Engine,
  type EngineEvents,
  EventFanout,
  engineConfig,
  NO_SINK,
  Request,
  StreamTokens,
  VirtualClock,
} from '../src/core/index.ts';
import { createMetricsPage, EngineMetrics } from '../src/observability/index.ts';
import { type SequenceRecord, type Span, SpanRecorder } from '../src/observability/spans/index.ts';
import { otlpJson } from '../src/observability/spans/otlp-json.ts';
import { SimulatedTraces } from '../src/observability/spans/simulated-traces.ts';
import { type OtlpSpan, otlpSpan } from '../src/runtime/tracing/otlp-spans.ts';
import { circumstances, inWords } from './report.ts';

// What traces cost: the recorder in an engine of 256 decoding sequences (alone, and with the metrics beside it), the same while
// requests come and go, and the spans of one request. Variants take turns, each the best of its rounds. `npx tsx bench/span-cost.ts`

const SEQUENCES = 256;
const ROUNDS = 9;
const GIB = 2 ** 30;
const BLOCKS = 40_000;
const TIMING = new RooflineTimingModel(catalogueModel('llama-3.1-8b'), H100_SXM, 16, {
  tensorParallel: 1,
  tokensPerStepMax: 8192,
});
const DEVICE = { prefillKernel: 'prefill', decodeKernel: 'decode', gpuId: '0' };

type Variant = 'nothing' | 'metrics' | 'spans' | 'metrics and spans' | 'spans, all kept';
const VARIANTS: readonly Variant[] = ['nothing', 'metrics', 'spans', 'metrics and spans', 'spans, all kept'];

interface Load {
  readonly name: string;
  readonly stepsMax: number;
  readonly requests: number;
  readonly outputTokens: (id: number) => number;
}

const LOADS: readonly Load[] = [
  { name: '256 decode, step by step', stepsMax: 1, requests: SEQUENCES, outputTokens: () => 2000 },
  { name: '256 decode, in runs of steps', stepsMax: 4096, requests: SEQUENCES, outputTokens: () => 2000 },
  {
    name: '256 run, others come and go, step by step',
    stepsMax: 1,
    requests: 8000,
    outputTokens: (id) => 20 + (id % 180),
  },
  {
    name: '256 run, others come and go, in runs',
    stepsMax: 4096,
    requests: 8000,
    outputTokens: (id) => 20 + (id % 180),
  },
];

console.log(inWords(circumstances()));
for (const load of LOADS) compare(load);
spanCreation();

function listenersOf(variant: Variant, options: { config: ReturnType<typeof configOf>; backend: SimulatedBackend }) {
  const metrics = variant.includes('metrics') ? new EngineMetrics(createMetricsPage(), options) : null;
  const traces = tracesOf(variant === 'spans, all kept' ? 1 : 0, () => {});
  const recorder = variant.includes('spans')
    ? new SpanRecorder({ config: options.config, emit: (record) => traces.add(record) })
    : null;
  const events: EngineEvents[] = [metrics, recorder].filter((each) => each !== null);
  return {
    events: events.length === 0 ? null : events.length === 1 ? events[0]! : new EventFanout(events),
    attach(engine: Engine) {
      metrics?.attach(engine);
      recorder?.attach(engine);
    },
  };
}

function configOf() {
  return engineConfig('twinfer', {
    blocksTotal: BLOCKS,
    sequencesMax: SEQUENCES,
    tokensPerStepMax: 8192,
    modelLenMax: 8192,
  });
}

/** One run to its end; its processor time (collector included), ms, and its steps. */
function run(load: Load, variant: Variant): { readonly ms: number; readonly steps: number } {
  const clock = new VirtualClock();
  const config = configOf();
  const backend = backendOf(clock, load.stepsMax);
  const listeners = listenersOf(variant, { config, backend });
  const { events } = listeners;
  const engine = new Engine({ config, clock, backend, events, hostTimer: new ModelledHostTimer() });
  listeners.attach(engine);
  for (let id = 0; id < load.requests; id++)
    engine.submit(
      new Request(id, 0, { prompt: new StreamTokens(128, id + 1), outputTokensMax: load.outputTokens(id) }),
      NO_SINK,
    );
  const from = process.cpuUsage();
  clock.run();
  const { user, system } = process.cpuUsage(from);
  return { ms: (user + system) / 1e3, steps: engine.totals.steps };
}

function compare(load: Load): void {
  const times = new Map<Variant, number[]>(VARIANTS.map((variant) => [variant, []]));
  let steps = 0;
  for (let round = -2; round < ROUNDS; round++) {
    // Who goes first finds the heap as the last one left it: they take turns.
    for (let i = 0; i < VARIANTS.length; i++) {
      const variant = VARIANTS[(i + round + VARIANTS.length) % VARIANTS.length]!;
      const found = run(load, variant);
      steps = found.steps;
      if (round >= 0) times.get(variant)!.push(found.ms);
    }
  }
  const best = (variant: Variant) => Math.min(...times.get(variant)!);
  const base = best('nothing');
  console.log(
    `${load.name}: ${steps} steps, ${load.requests} requests, ${((1e3 * base) / steps).toFixed(2)} us a step with nothing`,
  );
  for (const variant of VARIANTS.slice(1)) {
    const more = best(variant) - base;
    const perRequest = ((1e3 * more) / load.requests).toFixed(2);
    console.log(
      `  ${variant}: ${((1e3 * more) / steps).toFixed(2)} us a step more (${((100 * more) / base).toFixed(1)} %), ${perRequest} us a request`,
    );
  }
}

/** What one kept request costs behind the engine: its spans made of a record, and their way into bytes. */
function spanCreation(): void {
  const kept: Span[] = [];
  let record: SequenceRecord | null = null;
  const clock = new VirtualClock();
  const config = configOf();
  const recorder = new SpanRecorder({
    config,
    emit: (each) => {
      record = each;
    },
  });
  const engine = new Engine({ config, clock, backend: backendOf(clock, 1), events: recorder });
  recorder.attach(engine);
  engine.submit(new Request(0, 0, { prompt: new StreamTokens(512, 1), outputTokensMax: 100 }), NO_SINK);
  clock.run();
  recorder.flush();
  const traces = tracesOf(1, (spans) => kept.push(...spans));
  const makeUs = microseconds(() => {
    kept.length = 0;
    traces.add(record!);
  });
  const origin = { resource: resourceFromAttributes({ 'service.name': 'bench' }), version: '0', epochMs: 0 };
  const toBytes = (serializer: { serializeRequest(spans: OtlpSpan[]): Uint8Array | undefined }) =>
    microseconds(() => serializer.serializeRequest(kept.map((span) => otlpSpan(span, origin))));
  const source = { resource: { 'service.name': 'bench' }, version: '0', epochSeconds: 0 };
  const lineUs = microseconds(() => otlpJson(kept, source));
  console.log(
    `a kept request of 512 and 100 tokens: ${kept.length} spans made in ${makeUs} us; into protobuf ${toBytes(ProtobufTraceSerializer)} us, into JSON ${toBytes(JsonTraceSerializer)} us, into a line of --spans ${lineUs} us`,
  );
}

/** Best of 30 rounds of 500 calls. */
function microseconds(work: () => unknown): string {
  const rounds: number[] = [];
  for (let round = 0; round < 30; round++) {
    const from = performance.now();
    for (let i = 0; i < 500; i++) work();
    rounds.push((1e3 * (performance.now() - from)) / 500);
  }
  return Math.min(...rounds).toFixed(1);
}

function tracesOf(sampleRatio: number, take: (spans: readonly Span[]) => void): SimulatedTraces {
  const rules = { slowTtftMs: Number.POSITIVE_INFINITY, sampleRatio };
  return new SimulatedTraces({ rules, seed: 1, model: 'm', device: DEVICE, take });
}

function backendOf(clock: VirtualClock, stepsMax: number): SimulatedBackend {
  return new SimulatedBackend({
    clock,
    device: H100_SXM,
    tensorParallel: 1,
    memory: {
      totalBytes: 80 * GIB,
      budgetBytes: 72 * GIB,
      weightBytes: 16 * GIB,
      activationBytes: GIB,
      runtimeBytes: GIB,
      blockBytes: 2 ** 20,
      kvBytes: BLOCKS * 2 ** 20,
      blocksTotal: BLOCKS,
      hostBlocksTotal: 0,
    },
    timing: TIMING,
    stepsInFlight: configOf().stepsInFlight,
    stepsMax,
    acceptance: null,
    faults: null,
  });
}
