import { readFileSync } from 'node:fs';
import { ConfigError } from '../core/index.ts';
import type { ArrivalSpec } from '../simulation/arrivals.ts';
import type { PromptSpec, WorkloadSpec } from '../simulation/generated-workload.ts';
import { type LengthSpec, parseLengthCsv } from '../simulation/lengths.ts';
import type { StreamSpec } from '../simulation/mixed-workload.ts';
import { beside } from './beside.ts';
import type { LoadedScenario } from './load-scenario.ts';
import { durationNs } from './units.ts';
import type {
  ArrivalsSection,
  ContentSection,
  GeneratedSection,
  LengthSection,
  MixedSection,
} from './workload-schema.ts';

/** Where a generated workload ends. */
export interface WorkloadEnd {
  /** Infinity = not by their number. */
  readonly requestsMax: number;
  /** Infinity = not by time. */
  readonly durationNs: number;
}

/**
 * The generator's terms of a workload section, rates multiplied by `rateScale`. Files that it names are read here, since the
 * generators read none. Throws ScenarioError.
 */
export function workloadSpec(
  loaded: LoadedScenario,
  section: GeneratedSection,
  end: WorkloadEnd,
  rateScale: number,
): WorkloadSpec {
  const { arrivals } = section;
  if (arrivals.process !== 'stages' && !Number.isFinite(end.requestsMax) && !Number.isFinite(end.durationNs)) {
    loaded.fail(['limits'], `is missing; allowed: requests or duration, since ${arrivals.process} arrivals never end`);
  }
  if (arrivals.process === 'closed-loop' && rateScale !== 1) {
    throw new ConfigError('rate_scale', rateScale, 'only 1 with closed-loop arrivals: they have no rate');
  }
  return sourceSpec(loaded, ['workload'], section, end, rateScale);
}

/** The streams of a mixed workload; `end` holds for all of them together. Throws ScenarioError. */
export function streamSpecs(
  loaded: LoadedScenario,
  section: MixedSection,
  end: WorkloadEnd,
  rateScale: number,
): StreamSpec[] {
  const names = new Set<string>();
  return section.streams.map((stream, index) => {
    const path = ['workload', 'streams', index];
    if (names.has(stream.name)) loaded.fail([...path, 'name'], `${stream.name} is not allowed; allowed: another name`);
    names.add(stream.name);
    if (stream.arrivals.process === 'closed-loop') {
      loaded.fail([...path, 'arrivals'], 'closed-loop is not allowed; allowed: open-loop arrivals in a stream');
    }
    const fromNs = durationNs(stream.from);
    const toNs = Math.min(stream.to === undefined ? Number.POSITIVE_INFINITY : durationNs(stream.to), end.durationNs);
    if (toNs <= fromNs) {
      const [field, allowed] = stream.to === undefined ? ['from', 'before limits.duration'] : ['to', 'later than from'];
      loaded.fail([...path, field], `${stream[field as 'from' | 'to']} is not allowed; allowed: ${allowed}`);
    }
    const endless = stream.arrivals.process !== 'stages' && toNs === Number.POSITIVE_INFINITY;
    if (endless && !Number.isFinite(end.requestsMax)) {
      loaded.fail(path, `has no end; allowed: to, or limits, since ${stream.arrivals.process} arrivals never end`);
    }
    const own = { requestsMax: end.requestsMax, durationNs: toNs - fromNs };
    const spec = { ...sourceSpec(loaded, path, stream, own, rateScale), priority: stream.priority };
    return { name: stream.name, fromNs, spec };
  });
}

function sourceSpec(
  loaded: LoadedScenario,
  path: readonly PropertyKey[],
  section: Pick<GeneratedSection, 'arrivals' | 'content' | 'max_tokens' | 'timeout'>,
  end: WorkloadEnd,
  rateScale: number,
): WorkloadSpec {
  return {
    arrivals: arrivalSpec(section.arrivals, rateScale),
    prompts: promptSpec(loaded, [...path, 'content'], section.content),
    requests: Number.isFinite(end.requestsMax) ? end.requestsMax : null,
    durationS: Number.isFinite(end.durationNs) ? end.durationNs / 1e9 : null,
    outputTokensMax: section.max_tokens ?? null,
    priority: 0,
    timeoutS: section.timeout === undefined ? null : durationNs(section.timeout) / 1e9,
  };
}

function arrivalSpec(section: ArrivalsSection, rateScale: number): ArrivalSpec {
  switch (section.process) {
    case 'constant':
    case 'poisson':
      return { kind: section.process, ratePerS: section.requests_per_second * rateScale };
    case 'gamma':
      return { kind: 'gamma', ratePerS: section.requests_per_second * rateScale, cv: section.cv };
    case 'diurnal':
      return {
        kind: 'diurnal',
        ratePerS: section.requests_per_second * rateScale,
        amplitude: section.amplitude,
        periodS: durationNs(section.period) / 1e9,
        peakS: durationNs(section.peak_at) / 1e9,
      };
    case 'stages':
      return {
        kind: 'stages',
        stages: section.stages.map((stage) => ({
          ratePerS: stage.requests_per_second * rateScale,
          durationS: durationNs(stage.duration) / 1e9,
        })),
      };
    case 'closed-loop':
      return {
        kind: 'closed-loop',
        concurrency: section.concurrency,
        thinkTimeS: durationNs(section.think_time) / 1e9,
        thinkTimeCv: section.think_time_cv,
      };
  }
}

function promptSpec(loaded: LoadedScenario, path: readonly PropertyKey[], section: ContentSection): PromptSpec {
  const lengthOf = (field: 'prompt_tokens' | 'question_tokens' | 'output_tokens', value: LengthSection): LengthSpec =>
    lengthSpec(loaded, [...path, field], value);
  if (section.kind === 'independent') {
    return {
      kind: 'independent',
      promptTokens: lengthOf('prompt_tokens', section.prompt_tokens),
      outputTokens: lengthOf('output_tokens', section.output_tokens),
    };
  }
  return {
    kind: 'shared-prefix',
    groups: section.groups,
    usersPerGroup: section.users_per_group,
    systemPromptTokens: section.system_prompt_tokens,
    questionTokens: lengthOf('question_tokens', section.question_tokens),
    outputTokens: lengthOf('output_tokens', section.output_tokens),
    history: section.history,
    historyTokensMax: section.max_history_tokens,
  };
}

function lengthSpec(loaded: LoadedScenario, path: readonly PropertyKey[], section: LengthSection): LengthSpec {
  if (typeof section === 'number') return { kind: 'fixed', tokens: section };
  switch (section.distribution) {
    case 'fixed':
      return { kind: 'fixed', tokens: section.tokens };
    case 'uniform':
      checkOrder(loaded, path, section);
      return { kind: 'uniform', tokensMin: section.min, tokensMax: section.max };
    case 'normal': {
      checkOrder(loaded, path, section);
      const { mean, std } = section;
      return { kind: 'normal', mean, std, tokensMin: section.min, tokensMax: section.max };
    }
    case 'lognormal': {
      checkOrder(loaded, path, section);
      const range = { tokensMin: section.min, tokensMax: section.max };
      const { mu, sigma, p50, p99 } = section;
      if (mu !== undefined && sigma !== undefined) return { kind: 'lognormal', mu, sigma, ...range };
      if (p99! < p50!) loaded.fail([...path, 'p99'], `${p99} is not allowed; allowed: at least p50 (${p50})`);
      return { kind: 'lognormal', p50: p50!, p99: p99!, ...range };
    }
    case 'empirical':
      return lengthFile(loaded, [...path, 'file'], section.file);
  }
}

function checkOrder(loaded: LoadedScenario, path: readonly PropertyKey[], range: { min: number; max: number }): void {
  if (range.max >= range.min) return;
  loaded.fail([...path, 'max'], `${range.max} is not allowed; allowed: at least min (${range.min})`);
}

function lengthFile(loaded: LoadedScenario, path: readonly PropertyKey[], file: string): LengthSpec {
  const found = beside(loaded, file);
  let text: string;
  try {
    text = readFileSync(found, 'utf8');
  } catch {
    return loaded.fail(path, `${found} cannot be read; allowed: path of a CSV, relative to the scenario`);
  }
  try {
    return parseLengthCsv(text, found);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return loaded.fail(path, error.message);
  }
}
