import { scenarioJsonSchema } from './json-schema.ts';
import { type LoadedYaml, loadYaml, parseYaml, type YamlKind } from './load-yaml.ts';
import { type Scenario, scenarioSchema } from './scenario-schema.ts';

/** A scenario that follows the schema, and where in its file everything stands. */
export interface LoadedScenario {
  readonly scenario: Scenario;
  /** As the user named it: the start of every message. */
  readonly file: string;
  /** Paths in the scenario are relative to it. */
  readonly directory: string;
  /** Throws a ScenarioError that points at `path`, or at the nearest part of it that the file has. */
  fail(path: readonly PropertyKey[], message: string): never;
}

const SCENARIO: YamlKind<Scenario> = { what: 'scenario', schema: scenarioSchema, jsonSchema: scenarioJsonSchema };

/** Reads, parses and checks a scenario file. Throws ScenarioError with one line per problem. */
export function loadScenario(file: string): LoadedScenario {
  return loaded(loadYaml(file, SCENARIO));
}

/** As `loadScenario`, from text. `file` is what messages name. */
export function parseScenario(text: string, file: string): LoadedScenario {
  return loaded(parseYaml(text, file, SCENARIO));
}

function loaded({ value, ...rest }: LoadedYaml<Scenario>): LoadedScenario {
  return { scenario: value, ...rest };
}
