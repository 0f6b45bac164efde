import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyReply } from 'fastify';
import { describe, expect, it } from 'vitest';
import { ChatShape } from '../../src/gateway/answer/chat-shape.ts';
import { StreamOutput } from '../../src/gateway/answer/stream-output.ts';
import { TokenNames } from '../../src/gateway/answer/token-logprobs.ts';
import { type ApiError, parseChat, serverError } from '../../src/gateway/api/index.ts';
import { ChoiceText } from '../../src/gateway/choice-text.ts';
import type { Choice, GenerationPlan } from '../../src/gateway/generation-run.ts';
import { ByteTokenizer } from '../../src/tokenizer/index.ts';
import { limitsOf } from './api/limits.ts';

const tokenizer = new ByteTokenizer();
const prompt = Int32Array.of(104);

/** The answer of a server that treats one stream like this. */
async function answerOf(
  treat: (output: StreamOutput, choice: Choice) => void,
): Promise<{ text: string; refused: ApiError[] }> {
  const refused: ApiError[] = [];
  const call = parseChat({ messages: [{ role: 'user', content: 'h' }], stream: true }, limitsOf());
  const plan: GenerationPlan = {
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
  const listener: RequestListener = (_request, response) => {
    const reply = { raw: response, hijack() {}, getHeaders: () => ({}) } as unknown as FastifyReply;
    const shape = new ChatShape({ id: 'x', created: 1, model: 'm' }, new TokenNames(tokenizer, false));
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
