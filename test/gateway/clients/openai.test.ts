import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENDLESS_TOKENS, until } from '../../support/http-calls.ts';
import { apiKey, startTestServer, type TestServer } from '../../support/test-server.ts';

// The unmodified npm package `openai` against the real server. The byte tokenizer makes one character of a token.

const messages = [{ role: 'user' as const, content: 'Say something about rivers.' }];
const asked = { model: 'twin', messages, seed: 7, max_tokens: 20 };

let server: TestServer;
let client: OpenAI;

beforeAll(async () => {
  server = await startTestServer();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0 });
});

afterAll(() => server?.close());

async function streamed(body: OpenAI.ChatCompletionCreateParams): Promise<OpenAI.ChatCompletionChunk[]> {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) chunks.push(chunk);
  return chunks;
}

function textOf(chunks: readonly OpenAI.ChatCompletionChunk[], index = 0): string {
  return chunks
    .flatMap(({ choices }) => choices.filter((c) => c.index === index).map((c) => c.delta.content ?? ''))
    .join('');
}

describe('chat', () => {
  it('answers with a text of the length that is asked for', async () => {
    const answer = await client.chat.completions.create(asked);
    expect(answer.object).toBe('chat.completion');
    expect(answer.model).toBe('twin');
    const choice = answer.choices[0]!;
    expect(choice.message.role).toBe('assistant');
    expect(choice.message.content).toHaveLength(20);
    expect(choice.finish_reason).toBe('length');
    expect(answer.usage).toMatchObject({ completion_tokens: 20 });
    expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + 20);
  });

  it('streams the same text as it answers at once', async () => {
    const whole = await client.chat.completions.create(asked);
    const chunks = await streamed(asked);
    expect(textOf(chunks)).toBe(whole.choices[0]!.message.content);
    expect(chunks[0]!.choices[0]!.delta.role).toBe('assistant');
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe('length');
    expect(chunks.filter(({ choices }) => choices[0]!.finish_reason !== null)).toHaveLength(1);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.filter(({ choices }) => (choices[0]!.delta.content ?? '') !== '')).toHaveLength(20);
  });

  it('repeats itself with a seed and differs with another', async () => {
    const texts = await Promise.all(
      [7, 7, 8].map(
        async (seed) => (await client.chat.completions.create({ ...asked, seed })).choices[0]!.message.content,
      ),
    );
    expect(texts[0]).toBe(texts[1]);
    expect(texts[0]).not.toBe(texts[2]);
  });

  it('ends by itself where no length is asked for', async () => {
    const answer = await client.chat.completions.create({ model: 'twin', messages, seed: 7 });
    expect(answer.choices[0]!.finish_reason).toBe('stop');
    expect(answer.choices[0]!.message.content).not.toContain('<|');
  });

  it('puts usage into the last chunk when asked, and nowhere otherwise', async () => {
    const chunks = await streamed({ ...asked, stream_options: { include_usage: true } });
    const last = chunks.at(-1)!;
    expect(last.choices).toEqual([]);
    expect(last.usage).toMatchObject({ completion_tokens: 20 });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null || usage === undefined)).toBe(true);
    expect((await streamed(asked)).every(({ usage }) => usage === null || usage === undefined)).toBe(true);
  });

  it('counts tokens that were found in the cache', async () => {
    const long = [{ role: 'user' as const, content: 'A long story about rivers. '.repeat(20) }];
    const first = await client.chat.completions.create({ ...asked, messages: long });
    const second = await client.chat.completions.create({ ...asked, messages: long });
    expect(first.usage!.prompt_tokens_details!.cached_tokens).toBe(0);
    const cached = second.usage!.prompt_tokens_details!.cached_tokens!;
    expect(cached).toBeGreaterThan(400);
    expect(cached).toBeLessThan(second.usage!.prompt_tokens);
  });

  it('gives n choices, at once and streamed', async () => {
    const whole = await client.chat.completions.create({ ...asked, n: 4 });
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(whole.usage!.completion_tokens).toBe(80);
    const chunks = await streamed({ ...asked, n: 4 });
    for (const { index, message } of whole.choices) expect(textOf(chunks, index)).toBe(message.content);
    expect(chunks.flatMap(({ choices }) => choices.filter((c) => c.finish_reason !== null))).toHaveLength(4);
  });

  it('gives log-probabilities of each token, at once and streamed', async () => {
    const body = { ...asked, logprobs: true, top_logprobs: 3 };
    const whole = await client.chat.completions.create(body);
    const content = whole.choices[0]!.logprobs!.content!;
    expect(content.map(({ token }) => token).join('')).toBe(whole.choices[0]!.message.content);
    for (const { logprob, bytes, top_logprobs } of content) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(bytes).toHaveLength(1);
      expect(top_logprobs).toHaveLength(3);
      const values = top_logprobs.map((entry) => entry.logprob);
      expect([...values].sort((a, b) => b - a)).toEqual(values);
    }
    const chunks = await streamed(body);
    expect(chunks.flatMap(({ choices }) => choices[0]!.logprobs?.content ?? [])).toEqual(content);
  });
});

describe('stop strings', () => {
  it('end the text before them and are never streamed past, wherever they lie', async () => {
    const full = (await client.chat.completions.create({ ...asked, max_tokens: 24 })).choices[0]!.message.content!;
    for (const at of [1, 5, 12, 20]) {
      const stop = full.slice(at, at + 4);
      const expected = full.slice(0, full.indexOf(stop));
      const body = { ...asked, max_tokens: 24, stop: ['never in it', stop] };
      const whole = await client.chat.completions.create(body);
      expect(whole.choices[0]!.message.content).toBe(expected);
      expect(whole.choices[0]!.finish_reason).toBe('stop');
      const chunks = await streamed(body);
      expect(textOf(chunks)).toBe(expected);
      expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe('stop');
    }
  });

  it('that do not come change nothing', async () => {
    const full = (await client.chat.completions.create(asked)).choices[0]!.message.content;
    const chunks = await streamed({ ...asked, stop: `${full!.slice(-3)}#` });
    expect(textOf(chunks)).toBe(full);
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe('length');
  });
});

describe('completions', () => {
  const prompted = { model: 'twin', prompt: 'Once upon a time', seed: 3, max_tokens: 20 };

  it('answer and stream the same text', async () => {
    const whole = await client.completions.create(prompted);
    expect(whole.choices[0]!.text).toHaveLength(20);
    expect(whole.usage).toMatchObject({ prompt_tokens: 16, completion_tokens: 20, total_tokens: 36 });
    let text = '';
    for await (const chunk of await client.completions.create({ ...prompted, stream: true }))
      text += chunk.choices[0]!.text;
    expect(text).toBe(whole.choices[0]!.text);
  });

  it('give log-probabilities as parallel lists', async () => {
    const answer = await client.completions.create({ ...prompted, logprobs: 2 });
    const { tokens, token_logprobs, top_logprobs, text_offset } = answer.choices[0]!.logprobs!;
    expect(tokens!.join('')).toBe(answer.choices[0]!.text);
    expect(text_offset).toEqual(tokens!.map((_, i) => i));
    expect(token_logprobs).toHaveLength(20);
    for (const [i, alternatives] of top_logprobs!.entries()) {
      expect(Object.keys(alternatives!).length).toBeGreaterThanOrEqual(2);
      expect(alternatives![tokens![i]!]).toBe(token_logprobs![i]);
    }
  });

  it('echo the prompt with its log-probabilities, alone with max_tokens 0', async () => {
    const answer = await client.completions.create({ ...prompted, max_tokens: 0, echo: true, logprobs: 1 });
    expect(answer.choices[0]!.text).toBe(prompted.prompt);
    expect(answer.choices[0]!.logprobs!.tokens!.join('')).toBe(prompted.prompt);
    expect(answer.choices[0]!.logprobs!.token_logprobs![0]).toBeNull();
    expect(answer.usage!.completion_tokens).toBe(0);
  });

  it('take several prompts, and token ids', async () => {
    const texts = await client.completions.create({ ...prompted, prompt: ['Once upon a time', 'Far away'], n: 2 });
    expect(texts.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    const ids = await client.completions.create({ ...prompted, prompt: [...Buffer.from(prompted.prompt)] });
    expect(ids.choices[0]!.text).toBe((await client.completions.create(prompted)).choices[0]!.text);
  });
});

describe('errors', () => {
  it('model that is not served: NotFoundError', async () => {
    const error = await client.chat.completions.create({ ...asked, model: 'gpt-x' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
  });

  it('prompt that is too long: BadRequestError, also when streamed', async () => {
    const body = { ...asked, messages: [{ role: 'user' as const, content: 'x'.repeat(200_000) }] };
    for (const stream of [false, true]) {
      const error = await client.chat.completions.create({ ...body, stream }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(OpenAI.BadRequestError);
      expect(error).toMatchObject({ status: 400, code: 'context_length_exceeded', type: 'invalid_request_error' });
    }
  });

  it('field out of range: BadRequestError that names it', async () => {
    const error = await client.chat.completions.create({ ...asked, temperature: -1 }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ param: 'temperature' });
  });

  it('what is not served: 501', async () => {
    const error = await client.embeddings.create({ model: 'twin', input: 'x' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({ status: 501 });
  });

  it('bad key: AuthenticationError; good key: an answer', async () => {
    const locked = await startTestServer({ keys: [apiKey('alice', 'sk-alice')] });
    try {
      const options = { baseURL: `${locked.url}/v1`, maxRetries: 0 };
      const bad = await new OpenAI({ ...options, apiKey: 'sk-mallory' }).models.list().catch((e: unknown) => e);
      expect(bad).toBeInstanceOf(OpenAI.AuthenticationError);
      const good = await new OpenAI({ ...options, apiKey: 'sk-alice' }).chat.completions.create(asked);
      expect(good.choices[0]!.message.content).toHaveLength(20);
    } finally {
      await locked.close();
    }
  });
});

it('lists its models', async () => {
  const ids: string[] = [];
  for await (const model of client.models.list()) ids.push(model.id);
  expect(ids).toEqual(['twin']);
  expect(await client.models.retrieve('twin')).toMatchObject({ id: 'twin', object: 'model' });
});

it('an abort frees what the request held', async () => {
  // In real time, so that the answer would take half a minute.
  const slow = await startTestServer({ timeScale: 1 });
  try {
    const slowClient = new OpenAI({ baseURL: `${slow.url}/v1`, apiKey: server.key, maxRetries: 0 });
    const stream = await slowClient.chat.completions.create({ ...asked, max_tokens: ENDLESS_TOKENS, stream: true });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 3) break;
    const page = await slow.idle();
    expect(page.kv_blocks_used).toBe(0);
    expect(page.output_tokens).toBeLessThan(ENDLESS_TOKENS);
    const controller = new AbortController();
    const pending = slowClient.chat.completions
      .create({ ...asked, max_tokens: ENDLESS_TOKENS }, { signal: controller.signal })
      .catch((e: unknown) => e);
    await until(slow.load, ({ running_sequences }) => running_sequences === 1);
    controller.abort();
    expect(await pending).toBeInstanceOf(OpenAI.APIUserAbortError);
    expect(await slow.idle()).toMatchObject({ kv_blocks_used: 0 });
  } finally {
    await slow.close();
  }
});
