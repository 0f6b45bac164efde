import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

type Entry = Record<string, { logprob: number; rank: number; decoded_token: string }> | null;
interface Answer {
  readonly choices: readonly {
    readonly text: string;
    readonly message: { readonly content: string };
    readonly logprobs: {
      readonly tokens: string[];
      readonly token_logprobs: (number | null)[];
      readonly top_logprobs: (object | null)[];
      readonly text_offset: number[];
    } | null;
    readonly prompt_logprobs?: readonly Entry[];
  }[];
  readonly prompt_logprobs?: readonly Entry[];
  readonly usage: { readonly completion_tokens: number };
}

async function ask(path: string, body: object): Promise<Answer> {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

describe('log-probabilities of the prompt', () => {
  it('come with each choice of a completion: none for the first token, the token itself among the alternatives', async () => {
    const { choices } = await ask('/v1/completions', { prompt: 'Hey', max_tokens: 2, prompt_logprobs: 2, n: 2 });
    for (const { prompt_logprobs } of choices) {
      expect(prompt_logprobs!.map((entry) => entry && Object.keys(entry).length)).toEqual([null, 2, 2]);
      expect(prompt_logprobs![1]!['101']).toMatchObject({ rank: 1, decoded_token: 'e' });
      expect(prompt_logprobs![1]!['101']!.logprob).toBeLessThan(0);
    }
  });

  it('stand at the top of a chat', async () => {
    const answer = await ask('/v1/chat/completions', {
      messages: [{ role: 'user', content: 'Hey' }],
      max_tokens: 2,
      prompt_logprobs: 0,
    });
    const entries = answer.prompt_logprobs!;
    expect(entries[0]).toBeNull();
    expect(entries.slice(1).every((entry) => entry !== null && Object.keys(entry).length === 1)).toBe(true);
  });

  it('are what an echo without output is asked for, as evaluation harnesses do', async () => {
    const { choices, usage } = await ask('/v1/completions', {
      prompt: 'Hello',
      max_tokens: 0,
      echo: true,
      logprobs: 0,
    });
    const { text, logprobs } = choices[0]!;
    expect(text).toBe('Hello');
    expect(logprobs!.tokens).toEqual(['H', 'e', 'l', 'l', 'o']);
    expect(logprobs!.text_offset).toEqual([0, 1, 2, 3, 4]);
    expect(logprobs!.top_logprobs.map((top) => top && Object.keys(top))).toEqual([null, ['e'], ['l'], ['l'], ['o']]);
    expect(logprobs!.token_logprobs.slice(1).every((value) => value !== null && value < 0)).toBe(true);
    expect(usage.completion_tokens).toBe(0);
  });
});

describe('the echo of a chat', () => {
  const user = { role: 'user', content: 'Say it' };
  const begun = { role: 'assistant', content: 'I say' };
  const content = async (body: object) =>
    (await ask('/v1/chat/completions', { max_tokens: 3, temperature: 0, ...body })).choices[0]!.message.content;

  it('is the last message where the answer goes on with it, and nothing else', async () => {
    expect(await content({ messages: [user], echo: true })).toBe(await content({ messages: [user] }));
    const continued = { messages: [user, begun], add_generation_prompt: false, continue_final_message: true };
    expect(await content({ ...continued, echo: true })).toBe(`I say${await content(continued)}`);
  });
});
