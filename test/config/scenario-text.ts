/** A valid scenario on few lines; tests replace or add single lines of it. */
const SCENARIO_LINES: readonly string[] = [
  'name: small',
  'description: for tests',
  'model: {name: llama-3.1-8b}',
  'device: {name: h100-sxm-80gb}',
  'workload:',
  '  kind: generated',
  '  arrivals: {process: stages, stages: [{requests_per_second: 4, duration: 10s}]}',
  '  content: {kind: independent, prompt_tokens: 100, output_tokens: 20}',
];

/** The scenario with `extra` lines at its end (first extra line: 9) and texts replaced. */
export function scenarioText(extra = '', ...replacements: readonly (readonly [string, string])[]): string {
  let text = `${SCENARIO_LINES.join('\n')}\n${extra}`;
  for (const [from, to] of replacements) {
    if (!text.includes(from)) throw new Error(`the scenario of the tests has no ${from}`);
    text = text.replace(from, to);
  }
  return text;
}
