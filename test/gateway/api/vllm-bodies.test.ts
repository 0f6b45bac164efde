import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ApiError,
  type GenerationCall,
  parseChat,
  parseCompletion,
  parseJsonBody,
} from '../../../src/gateway/api/index.ts';
import { DEVIATIONS } from './deviations.ts';
import { ABLE, limitsOf } from './limits.ts';

const folder = process.env['TWINFER_CONFORMANCE'];
const file = folder === undefined ? null : join(folder, 'vllm-0.15.1', 'openai-requests.jsonl');

interface Recording {
  readonly endpoint: 'chat' | 'completion';
  readonly body: Readonly<Record<string, unknown>>;
  readonly accepted: boolean;
  readonly stream?: boolean;
  readonly sampling?: Readonly<Record<string, unknown>>;
  readonly where?: string | null;
  readonly why?: string;
  /** The body as it was sent. */
  readonly text: string;
}

function readRecordings(path: string) {
  const [head, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n');
  const defaults = (JSON.parse(head!) as { samplingDefaults: Record<string, Record<string, unknown>> })
    .samplingDefaults;
  const recordings = lines.map((line) => {
    const start = line.indexOf('"body":') + '"body":'.length;
    const text = line.slice(start, line.lastIndexOf(',"accepted":'));
    return { ...(JSON.parse(line) as Omit<Recording, 'text'>), text };
  });
  return { defaults, recordings };
}

/** A call in vLLM's names. */
function samplingOf(call: GenerationCall): Record<string, unknown> {
  const { sampling } = call;
  return {
    n: sampling.n,
    presence_penalty: sampling.presencePenalty,
    frequency_penalty: sampling.frequencyPenalty,
    repetition_penalty: sampling.repetitionPenalty,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: sampling.topK,
    min_p: sampling.minP,
    seed: sampling.seed,
    stop: call.stop,
    stop_token_ids: sampling.stopTokenIds,
    ignore_eos: sampling.ignoreEos,
    // What was left of the context in the recording; an echo without output generates one token there.
    max_tokens: call.outputTokensMax === null ? 1000 : Math.max(1, call.outputTokensMax),
    min_tokens: sampling.outputTokensMin,
    logprobs: sampling.logprobs,
    prompt_logprobs: sampling.promptLogprobs,
    skip_special_tokens: call.skipSpecialTokens,
    include_stop_str_in_output: call.includeStop,
    bad_words: call.badWords,
    allowed_token_ids: call.allowedTokenIds === null ? null : [...call.allowedTokenIds],
    logit_bias: sampling.logitBias === null ? null : Object.fromEntries(sampling.logitBias),
  };
}

/** Fields where vLLM says none or names the whole model, but its message names one. */
function fieldOf(recording: Recording): string | null {
  const { where, why = '' } = recording;
  if (where) return where.split('.')[0]!;
  return (
    /parameter=(\w+)/.exec(why)?.[1] ??
    /^(?:Value error, )?(?:Parameter ')?`?(\w+) (?:must|cannot)/.exec(why)?.[1] ??
    null
  );
}

describe.skipIf(file === null)(
  'bodies are taken, refused and resolved as vLLM 0.15.1 does (needs TWINFER_CONFORMANCE)',
  () => {
    const { defaults, recordings } =
      file !== null && existsSync(file) ? readRecordings(file) : { defaults: {}, recordings: [] };
    const limits = limitsOf({ capabilities: ABLE, modelLenMax: 10_000 });
    const parse = (recording: Recording): GenerationCall | ApiError => {
      try {
        const body = parseJsonBody(recording.text, { depthMax: 64, keysMax: 32_768, numbersMax: 524_288 });
        return recording.endpoint === 'chat' ? parseChat(body, limits) : parseCompletion(body, limits);
      } catch (error) {
        if (error instanceof ApiError) return error;
        throw error;
      }
    };

    it('has recordings', () => {
      expect(recordings.length).toBeGreaterThan(200);
    });

    it.each(recordings.map((recording) => [`${recording.endpoint} ${recording.text}`, recording] as const))(
      '%s',
      (_name, recording) => {
        const call = parse(recording);
        const deviation = DEVIATIONS.find(({ applies }) => applies(recording.body, recording.endpoint));
        if (deviation !== undefined && recording.accepted) {
          if (deviation.instead === 'another call') expect(call).not.toBeInstanceOf(ApiError);
          else expect(call, deviation.reason).toBeInstanceOf(ApiError);
          return;
        }
        if (!recording.accepted) {
          expect(call, recording.why).toBeInstanceOf(ApiError);
          const error = call as ApiError;
          expect(error.status).toBe(400);
          const field = fieldOf(recording);
          if (field !== null)
            expect(error.param?.split('.')[0]?.replace('max_completion_tokens', 'max_tokens')).toBe(field);
          return;
        }
        expect(call instanceof ApiError ? call.message : null).toBeNull();
        const resolved = call as GenerationCall;
        expect(resolved.stream).toBe(recording.stream);
        expect(samplingOf(resolved)).toEqual({ ...defaults[recording.endpoint], ...recording.sampling });
      },
    );
  },
);

describe('deviations from vLLM', () => {
  const limits = limitsOf({ capabilities: ABLE });
  const attempt = ([endpoint, fields]: (typeof DEVIATIONS)[number]['example']): GenerationCall | ApiError => {
    try {
      if (endpoint === 'completion') return parseCompletion({ prompt: 'hi', ...fields }, limits);
      return parseChat({ messages: [{ role: 'user', content: 'hi' }], ...fields }, limits);
    } catch (error) {
      if (error instanceof ApiError) return error;
      throw error;
    }
  };

  it.each(DEVIATIONS.map((deviation) => [deviation.name, deviation] as const))('%s', (_name, deviation) => {
    const [endpoint, fields] = deviation.example;
    expect(deviation.applies(fields, endpoint)).toBe(true);
    const call = attempt(deviation.example);
    if (deviation.instead === 'another call') expect(call).not.toBeInstanceOf(ApiError);
    else expect(call).toMatchObject({ status: 400, param: deviation.instead.param });
  });

  it('do not apply to a plain body', () => {
    const plain = { model: 'm', temperature: 0.5, max_tokens: 5, seed: 2 ** 63 - 1024, stop: ['a'], n: 2 };
    expect(DEVIATIONS.filter(({ applies }) => applies({ ...plain, prompt: 'hi' }, 'completion'))).toEqual([]);
    const messages = [{ role: 'user', content: ['a', { type: 'text', text: 'b' }] }];
    expect(DEVIATIONS.filter(({ applies }) => applies({ ...plain, messages }, 'chat'))).toEqual([]);
  });
});
