import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyReply } from 'fastify';
import { describe, expect, it } from 'vitest';
import { shapeOf } from '../../src/gateway/answer/shape-of.ts';
import { StreamOutput } from '../../src/gateway/answer/stream-output.ts';
import {
  type ApiError,
  type GenerationCall,
  parseChat,
  parseCompletion,
  serverError,
} from '../../src/gateway/api/index.ts';
import { ChoiceText } from '../../src/gateway/choice-text.ts';
import type { Choice, GenerationPlan } from '../../src/gateway/generation-run.ts';
import { ByteTokenizer } from '../../src/tokenizer/index.ts';
import { limitsOf } from './api/limits.ts';

const tokenizer = new ByteTokenizer();
const prompt = Int32Array.of(104);

const CHAT = parseChat({ messages: [{ role: 'user', content: 'h' }], stream: true }, limitsOf());

/** What tests read of an event of a completion. */
interface CompletionBody {
  readonly choices: readonly {
    readonly index: number;
    readonly text: string;
    readonly logprobs: { readonly token_logprobs: number[]; readonly text_offset: number[] } | null;
  }[];
}

function planOf(call: GenerationCall): GenerationPlan {
  return {
    call,
    prompts: [prompt],
    outputTokensMax: [10],
    impliedOutputTokens: [10],
    cacheSalt: 0,
    tenant: 0,
    timeoutMs: null,
    logprobs: null,
    promptLogprobs: null,
  };
}

/** The answer of a server that treats one stream like this. */
async function answerOf(
  treat: (output: StreamOutput, choice: Choice) => void,
  plan: GenerationPlan = planOf(CHAT),
): Promise<{ text: string; refused: ApiError[] }> {
  const refused: ApiError[] = [];
  const listener: RequestListener = (_request, response) => {
    const reply = { raw: response, hijack() {}, getHeaders: () => ({}) } as unknown as FastifyReply;
    const shape = shapeOf(plan.call, { id: 'x', created: 1, model: 'm' }, tokenizer);
    const output = new StreamOutput(reply, plan, shape, {
      tokenizer,
      bufferBytesMax: 1e6,
      stepTimes: false,
      refused: (error) => {
        refused.push(error);
        response.end('refused');
      },
      cutOff() {},
      usageNow: () => ({ promptTokens: 1, outputTokens: 0, cachedPromptTokens: 0 }),
    });
    const text = new ChoiceText(tokenizer, true, [], false, 0);
    treat(output, { index: 0, prompt: 0, text, finishReason: null, stopReason: null });
  };
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const text = await response.text();
  server.close();
  return { text, refused };
}

describe('a stream that fails', () => {
  const error = serverError('engine_failed', 'the engine failed');

  it('is refused with its own status while nothing of it exists', async () => {
    const { text, refused } = await answerOf((output) => {
      output.failed(error);
      output.flush(0);
    });
    expect(refused).toEqual([error]);
    expect(text).toBe('refused');
  });

  it('ends with an error event after the tokens of the same step', async () => {
    const { text, refused } = await answerOf((output, choice) => {
      output.tokens(choice, Int32Array.of(104), 0, 1, null);
      output.failed(error);
      output.flush(0);
    });
    expect(refused).toEqual([]);
    const events = text.trim().split('\n\n');
    expect(events.at(-1)).toBe('data: [DONE]');
    expect(JSON.parse(events.at(-2)!.slice('data: '.length))).toMatchObject({ error: { code: 'engine_failed' } });
    expect(events.at(-3)).toContain('"content":"h"');
  });
});

describe('an echo in a stream', () => {
  const text = 'wörds 💡 '.repeat(4000);
  const fields = { prompt: 'h', stream: true, echo: true, logprobs: 2, max_tokens: 2 };
  const call = parseCompletion(fields, limitsOf({ modelLenMax: 1_000_000 }));
  const ids = tokenizer.encode(text);
  const logprobsOf = (count: number, logprob: number) => ({
    top: 2,
    chosen: new Float64Array(count).fill(logprob),
    topIds: new Int32Array(2 * count).map((_, i) => i % 200),
    topLogprobs: new Float64Array(2 * count).fill(logprob),
  });
  const logprobs = logprobsOf(ids.length - 1, -1);
  const echo: GenerationPlan = { ...planOf(call), prompts: [ids], logprobs: 2, promptLogprobs: 2 };

  it.each([
    ['with log-probabilities', echo],
    ['without', { ...echo, call: { ...call, logprobs: null } }],
  ])('comes whole, before the tokens, however long it is, %s', async (_name, plan) => {
    const { text: body } = await answerOf((output, choice) => {
      output.promptLogprobs(0, logprobs);
      output.tokens(choice, Int32Array.of(65), 0, 1, plan.call.logprobs === null ? null : logprobs);
      output.flush(0);
      output.tokens(choice, Int32Array.of(66), 0, 1, plan.call.logprobs === null ? null : logprobs);
      output.finished({ ...choice, finishReason: 'length' });
      output.done({ promptTokens: ids.length, outputTokens: 2, cachedPromptTokens: 0 });
      output.flush(0);
    }, plan);
    const chunks = chunksOf(body);
    const parts = chunks.map((chunk) => chunk.choices[0]!.text);
    if (plan.call.logprobs === null) expect(parts.join('')).toBe(`${text}AB`);
    else expect(parts.slice(-3)).toEqual(['A', 'B', '']);
    if (plan.call.logprobs === null) return;
    // The first token of a prompt has none.
    const offsets = chunks.slice(1, -1).map((chunk) => chunk.choices[0]!.logprobs!.text_offset[0]);
    expect(offsets.every((offset, i) => offset === i + 1)).toBe(true);
  });

  it('has the log-probabilities of its own prompt, in whatever order the choices begin', async () => {
    const prompts = [Int32Array.of(65, 66), Int32Array.of(67, 68)];
    const { text: body } = await answerOf(
      (output, choice) => {
        output.promptLogprobs(0, logprobsOf(1, -1));
        output.promptLogprobs(1, logprobsOf(1, -2));
        for (const index of [1, 0]) {
          const text = new ChoiceText(tokenizer, true, [], false, 0);
          output.tokens({ ...choice, text, index, prompt: index }, Int32Array.of(69), 0, 1, logprobsOf(1, -3));
        }
        output.done({ promptTokens: 4, outputTokens: 2, cachedPromptTokens: 0 });
        output.flush(0);
      },
      { ...echo, prompts },
    );
    const found = chunksOf(body).map(({ choices: [choice] }) => [choice!.index, choice!.logprobs?.token_logprobs[0]]);
    expect(found).toEqual([
      [1, undefined],
      [1, -2],
      [1, -3],
      [0, undefined],
      [0, -1],
      [0, -3],
    ]);
  });
});

/** The events of a stream that ends well. */
function chunksOf(body: string): CompletionBody[] {
  const events = body.split('\n\n').slice(0, -1);
  expect(events.at(-1)).toBe('data: [DONE]');
  return events.slice(0, -1).map((event) => JSON.parse(event.slice('data: '.length)) as CompletionBody);
}
