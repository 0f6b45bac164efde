import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, streamText } from 'ai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ENDLESS_TOKENS } from '../../support/http-calls.ts';
import { startTestServer, type TestServer } from '../../support/test-server.ts';

// The unmodified Vercel AI SDK against the real server. It has no n and no log-probabilities.

let server: TestServer;
let twin: ReturnType<typeof createOpenAICompatible>;

beforeAll(async () => {
  server = await startTestServer();
  twin = createOpenAICompatible({
    name: 'twinfer',
    baseURL: `${server.url}/v1`,
    apiKey: server.key,
    includeUsage: true,
  });
});

afterAll(() => server?.close());

const asked = { prompt: 'Say something about rivers.', seed: 7, maxOutputTokens: 20, maxRetries: 0 };

async function streamed(options: object = {}) {
  const result = streamText({ ...asked, model: twin.chatModel('twin'), onError: () => {}, ...options });
  let text = '';
  for await (const part of result.textStream) text += part;
  return { text, usage: await result.usage, finishReason: await result.finishReason };
}

it('chat: the streamed text is the one of the answer, with its usage', async () => {
  const whole = await generateText({ ...asked, model: twin.chatModel('twin') });
  expect(whole.text).toHaveLength(20);
  expect(whole.finishReason).toBe('length');
  expect(whole.usage.outputTokens).toBe(20);
  const stream = await streamed();
  expect(stream.text).toBe(whole.text);
  expect(stream.finishReason).toBe('length');
  expect(stream.usage.outputTokens).toBe(20);
  expect(stream.usage.inputTokens).toBe(whole.usage.inputTokens);
});

it('completion', async () => {
  const model = twin.completionModel('twin');
  const whole = await generateText({ ...asked, model });
  expect(whole.text).toHaveLength(20);
  expect((await streamed({ model })).text).toBe(whole.text);
});

it('stop sequences are not streamed', async () => {
  const whole = await generateText({ ...asked, model: twin.chatModel('twin') });
  const stop = whole.text.slice(6, 10);
  const stream = await streamed({ stopSequences: [stop] });
  expect(stream.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
  expect(stream.finishReason).toBe('stop');
});

it('errors: unknown model, prompt that is too long, field out of range', async () => {
  const failure = (options: object) =>
    generateText({ ...asked, model: twin.chatModel('twin'), ...options }).catch((error: unknown) => error);
  const unknown = await failure({ model: twin.chatModel('gpt-x') });
  expect(APICallError.isInstance(unknown)).toBe(true);
  expect(unknown).toMatchObject({ statusCode: 404 });
  expect(await failure({ prompt: 'x'.repeat(200_000) })).toMatchObject({ statusCode: 400 });
  expect(await failure({ temperature: -1 })).toMatchObject({
    statusCode: 400,
    message: expect.stringContaining('temperature'),
  });
});

it('an abort frees what the request held', async () => {
  const slow = await startTestServer({ timeScale: 1 });
  try {
    const provider = createOpenAICompatible({ name: 'slow', baseURL: `${slow.url}/v1`, apiKey: server.key });
    const controller = new AbortController();
    const result = streamText({
      ...asked,
      model: provider.chatModel('twin'),
      maxOutputTokens: ENDLESS_TOKENS,
      abortSignal: controller.signal,
      onError: () => {},
    });
    let parts = 0;
    for await (const _ of result.textStream) if (++parts === 3) controller.abort();
    const page = await slow.idle();
    expect(page.kv_blocks_used).toBe(0);
    expect(page.output_tokens).toBeLessThan(ENDLESS_TOKENS);
  } finally {
    await slow.close();
  }
});
