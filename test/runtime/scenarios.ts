import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { loadScenario, parseScenario } from '../../src/config/load-scenario.ts';
import { resolveScenario, type ScenarioOverrides } from '../../src/config/resolve-scenario.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import type { RunOutcome, RunSpec } from '../../src/runtime/run-spec.ts';

export const SAMPLE = 'replay/samples/conversation.jsonl.gz';

/** A bundled scenario, with what flags could change. */
export function bundled(name: string, overrides: ScenarioOverrides = {}): RunSpec {
  return resolveScenario(loadScenario(`scenarios/${name}.yaml`), overrides);
}

/** The reference scenario with extra sections, or with others in place of its own; 20 s of chat. */
export function scenario(sections: Readonly<Record<string, string>> = {}, overrides: ScenarioOverrides = {}): RunSpec {
  const all: Record<string, string> = {
    name: 'test',
    description: 'for tests',
    model: '{name: llama-3.1-8b}',
    device: '{name: h100-sxm-80gb}',
    workload: `{kind: generated, arrivals: ${POISSON}, content: ${CHAT}}`,
    limits: '{duration: 20s}',
    ...sections,
  };
  const text = Object.entries(all).map(([section, value]) => `${section}: ${value}\n`);
  return resolveScenario(parseScenario(text.join(''), 'test.yaml'), overrides);
}

const POISSON = '{process: poisson, requests_per_second: 10}';
export const CHAT = `{kind: independent, prompt_tokens: {distribution: lognormal, p50: 300, p99: 2400, max: 4096},
    output_tokens: {distribution: lognormal, p50: 100, p99: 500, max: 1024}}`;

/** Runs it and checks what must hold of every run. */
export async function ran(spec: RunSpec): Promise<RunOutcome> {
  const outcome = await runSimulation(spec);
  const { requests, tokens } = outcome.summary;
  const { completed, rejected, aborted, timedOut, failed } = requests;
  if (requests.injected !== completed + rejected + aborted + timedOut + failed)
    throw new Error('requests do not add up');
  if (tokens.scheduledPrompt !== tokens.prompt - tokens.cachedPrompt + tokens.recomputedPrompt) {
    throw new Error('prompt tokens do not add up');
  }
  return outcome;
}

/** A folder for one test file, removed at its end. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'twinfer-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
