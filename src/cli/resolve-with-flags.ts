import type { LoadedScenario } from '../config/load-scenario.ts';
import { resolveScenario, type ScenarioOverrides } from '../config/resolve-scenario.ts';
import { ScenarioError } from '../config/scenario-error.ts';
import { ConfigError } from '../core/index.ts';
import type { RunSpec } from '../runtime/run-spec.ts';
import { UsageError } from './exit-codes.ts';

/** `resolveScenario`, with the flags named when they are to blame: the file is fine without them. Throws UsageError. */
export function resolveWithFlags(loaded: LoadedScenario, overrides: ScenarioOverrides): RunSpec {
  try {
    return resolveScenario(loaded, overrides);
  } catch (error) {
    if (error instanceof ConfigError)
      throw new UsageError(`--${error.message.replace(error.field, flagOf(error.field))}`);
    const flags = engineFlags(overrides);
    if (!(error instanceof ScenarioError) || flags.length === 0) throw error;
    // Throws in its turn when the scenario is wrong by itself.
    resolveScenario(loaded, { ...overrides, engine: undefined, timing: undefined });
    throw new UsageError(`${flags.join(' ')}: ${error.problems.map((problem) => problem.message).join('; ')}`);
  }
}

/** The flags of engine and timing given, with their values, as they were typed. */
function engineFlags({ engine = {}, timing = {} }: ScenarioOverrides): string[] {
  const { model, ...others } = timing;
  return Object.entries({ ...engine, timing: model, ...others })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `--${name === 'profile' ? 'engine' : flagOf(name)} ${String(value)}`);
}

function flagOf(name: string): string {
  return name.replaceAll('_', '-');
}
