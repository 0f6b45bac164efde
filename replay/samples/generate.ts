import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { arrivalProcess } from '../../src/simulation/arrivals.ts';
import { lengthSource } from '../../src/simulation/lengths.ts';
import { uniformSource } from '../../src/simulation/random.ts';

export const SAMPLE_SEED = 20240917;
export const SAMPLE_PATH = fileURLToPath(new URL('conversation.jsonl.gz', import.meta.url));

/** A row of the own JSONL format, before it is written. */
interface Row {
  arrivalMs: number;
  promptTokens: number;
  outputTokens: number;
  /** System prompt: stream and length, or null. */
  system: { stream: number; tokens: number } | null;
  /** Conversation, or -1 for a prompt that nobody repeats. */
  stream: number;
}

const DURATION_S = 600;
const ASSISTANTS = 12;
const SESSIONS_PER_S = 1.45;
const NEXT_TURN_PROBABILITY = 0.58;
/** Calls without system prompt and without conversation: summaries, extraction. */
const CALLS_PER_S = 0.45;
/** Time for an answer to be read off a busy server, per token, for the earliest next question. */
const ANSWER_MS_PER_TOKEN = 20;

/** Ten minutes of chat and API traffic as JSONL; the same seed gives the same text. */
export function sampleTrace(seed: number): string {
  const rows = [...sessionRows(seed), ...callRows(seed)].filter((row) => row.arrivalMs < DURATION_S * 1000);
  rows.sort((a, b) => a.arrivalMs - b.arrivalMs);
  return rows.map((row) => `${JSON.stringify(jsonOf(row))}\n`).join('');
}

/** Conversations: each turn repeats the ones before it, on one stream; the system prompt comes from one of a few assistants. */
function* sessionRows(seed: number): Generator<Row> {
  const uniform = uniformSource(seed, 'sessions');
  const starts = arrivalProcess({ kind: 'gamma', ratePerS: SESSIONS_PER_S, cv: 1.4 }, `${seed}/sessions`);
  const range = { tokensMin: 4, tokensMax: 6000 };
  const question = lengthSource({ kind: 'lognormal', p50: 90, p99: 2400, ...range }, uniformSource(seed, 'questions'));
  const answer = lengthSource({ kind: 'lognormal', p50: 170, p99: 900, ...range }, uniformSource(seed, 'answers'));
  const thinkMs = lengthSource(
    { kind: 'lognormal', p50: 14_000, p99: 90_000, tokensMin: 1_000, tokensMax: 200_000 },
    uniformSource(seed, 'thinking'),
  );
  const systems = systemPrompts(seed);
  for (let session = 0; ; session++) {
    let arrivalMs = Math.round(starts.nextNs() / 1e6);
    if (arrivalMs >= DURATION_S * 1000) return;
    // The product makes a few assistants popular.
    const system = systems[Math.floor(uniform() * uniform() * ASSISTANTS)]!;
    let historyTokens = 0;
    do {
      historyTokens += question();
      const outputTokens = answer();
      const promptTokens = system.tokens + historyTokens;
      yield { arrivalMs, promptTokens, outputTokens, system, stream: ASSISTANTS + session };
      historyTokens += outputTokens;
      arrivalMs += outputTokens * ANSWER_MS_PER_TOKEN + thinkMs();
    } while (uniform() < NEXT_TURN_PROBABILITY && historyTokens < 12_000);
  }
}

function* callRows(seed: number): Generator<Row> {
  const arrivals = arrivalProcess({ kind: 'poisson', ratePerS: CALLS_PER_S }, `${seed}/calls`);
  const range = { tokensMin: 16, tokensMax: 7500 };
  const prompt = lengthSource(
    { kind: 'lognormal', p50: 1100, p99: 6500, ...range },
    uniformSource(seed, 'call prompts'),
  );
  const output = lengthSource(
    { kind: 'lognormal', p50: 60, p99: 700, tokensMin: 1, tokensMax: 1500 },
    uniformSource(seed, 'call outputs'),
  );
  for (;;) {
    const arrivalMs = Math.round(arrivals.nextNs() / 1e6);
    if (arrivalMs >= DURATION_S * 1000) return;
    yield { arrivalMs, promptTokens: prompt(), outputTokens: output(), system: null, stream: -1 };
  }
}

function systemPrompts(seed: number): { stream: number; tokens: number }[] {
  const tokens = lengthSource({ kind: 'uniform', tokensMin: 120, tokensMax: 1600 }, uniformSource(seed, 'systems'));
  return Array.from({ length: ASSISTANTS }, (_, stream) => ({ stream, tokens: tokens() }));
}

function jsonOf(row: Row): object {
  const { promptTokens: prompt_tokens, outputTokens: output_tokens, system, stream } = row;
  const base = { arrival_s: row.arrivalMs / 1000, prompt_tokens, output_tokens };
  return system === null ? base : { ...base, prefix: [{ stream: system.stream, tokens: system.tokens }], stream };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = sampleTrace(SAMPLE_SEED);
  writeFileSync(SAMPLE_PATH, gzipSync(text, { level: 9 }));
  process.stdout.write(`${SAMPLE_PATH}: ${text.split('\n').length - 1} requests\n`);
}
