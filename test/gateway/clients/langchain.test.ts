import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI, OpenAI } from '@langchain/openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ENDLESS_TOKENS } from '../../support/http-calls.ts';
import { startTestServer, type TestServer } from '../../support/test-server.ts';

// The unmodified LangChain.js client against the real server.

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(() => server?.close());

const prompt = 'Say something about rivers.';

function chat(options: object = {}, url = server.url): ChatOpenAI {
  const modelKwargs = { seed: 7 };
  const configuration = { baseURL: `${url}/v1` };
  return new ChatOpenAI({
    model: 'twin',
    apiKey: server.key,
    maxTokens: 20,
    maxRetries: 0,
    modelKwargs,
    configuration,
    ...options,
  });
}

/** The package's types say that a message never has usage; it has. */
function outputTokensOf(message: object): number {
  return (message as { usage_metadata?: { output_tokens: number } }).usage_metadata?.output_tokens ?? 0;
}

async function streamed(model: ChatOpenAI, options: object = {}) {
  let text = '';
  let outputTokens = 0;
  for await (const chunk of await model.stream(prompt, options)) {
    text += chunk.content as string;
    outputTokens += outputTokensOf(chunk);
  }
  return { text, outputTokens };
}

it('chat: the streamed text is the one of the answer, with its usage', async () => {
  const whole = await chat().invoke(prompt);
  expect(whole.content).toHaveLength(20);
  expect(outputTokensOf(whole)).toBe(20);
  expect(whole.response_metadata['finish_reason']).toBe('length');
  expect(await streamed(chat())).toEqual({ text: whole.content, outputTokens: 20 });
});

it('completion', async () => {
  const configuration = { baseURL: `${server.url}/v1` };
  const options = {
    model: 'twin',
    apiKey: server.key,
    maxTokens: 20,
    modelKwargs: { seed: 7 },
    maxRetries: 0,
    configuration,
  };
  const model = new OpenAI(options);
  const whole = await model.invoke(prompt);
  expect(whole).toHaveLength(20);
  let text = '';
  for await (const part of await model.stream(prompt)) text += part;
  expect(text).toBe(whole);
});

it('n = 4', async () => {
  const { generations } = await chat({ n: 4 }).generate([[new HumanMessage(prompt)]]);
  expect(generations[0]!).toHaveLength(4);
  for (const { text } of generations[0]!) expect(text).toHaveLength(20);
});

it('log-probabilities', async () => {
  const whole = await chat({ logprobs: true, topLogprobs: 2 }).invoke(prompt);
  const logprobs = whole.response_metadata['logprobs'] as { content: { token: string; top_logprobs: unknown[] }[] };
  expect(logprobs.content.map(({ token }) => token).join('')).toBe(whole.content);
  expect(logprobs.content.every(({ top_logprobs }) => top_logprobs.length === 2)).toBe(true);
});

it('stop strings are not streamed', async () => {
  const whole = (await chat().invoke(prompt)).content as string;
  const stop = whole.slice(6, 10);
  const { text } = await streamed(chat(), { stop: [stop] });
  expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
});

it('errors: unknown model, prompt that is too long', async () => {
  await expect(chat({ model: 'gpt-x' }).invoke(prompt)).rejects.toMatchObject({ status: 404 });
  await expect(chat().invoke('x'.repeat(200_000))).rejects.toMatchObject({ status: 400 });
});

it('an abort frees what the request held', async () => {
  const slow = await startTestServer({ timeScale: 1 });
  try {
    const controller = new AbortController();
    const stream = await chat({ maxTokens: ENDLESS_TOKENS }, slow.url).stream(prompt, { signal: controller.signal });
    let chunks = 0;
    const reading = (async () => {
      for await (const _ of stream) if (++chunks === 3) controller.abort();
    })();
    await reading.catch(() => null);
    const page = await slow.idle();
    expect(page.kv_blocks_used).toBe(0);
    expect(page.output_tokens).toBeLessThan(ENDLESS_TOKENS);
  } finally {
    await slow.close();
  }
});
