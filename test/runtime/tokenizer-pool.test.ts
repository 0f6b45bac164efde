import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { openTokenizer } from '../../src/runtime/open-tokenizer.ts';
import { TokenizerPool } from '../../src/runtime/tokenizer-pool.ts';
import { ByteTokenizer, ChatTemplateError, TokenizerBusyError } from '../../src/tokenizer/index.ts';
import { startTestServer } from '../support/test-server.ts';

const CHAT = {
  addGenerationPrompt: true,
  continueFinalMessage: false,
  tools: null,
  documents: null,
  templateVariables: {},
};
const LONG = 'word and wörd '.repeat(2000);
const tokenizer = new ByteTokenizer();
const scratch = mkdtempSync(join(tmpdir(), 'twinfer-pool-'));
const pools: TokenizerPool[] = [];

function poolOf(threads: number, queueMax = 100, folder: string | null = null): TokenizerPool {
  const pool = new TokenizerPool(openTokenizer(folder), folder, threads, queueMax);
  pools.push(pool);
  return pool;
}

/** A model folder whose template wants a user's message first, as Mistral's and Gemma's do. */
function strictFolder(): string {
  const tokens = [
    { id: 1, content: '</s>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
  ];
  const parts = { added_tokens: tokens, normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  const model = { type: 'BPE', unk_token: 'a', vocab: { a: 0 }, merges: [] };
  writeFileSync(join(scratch, 'tokenizer.json'), JSON.stringify({ version: '1.0', ...parts, model }));
  writeFileSync(join(scratch, 'config.json'), '{"eos_token_id": 1}');
  writeFileSync(
    join(scratch, 'chat_template.jinja'),
    "{% if messages[0]['role'] != 'user' %}{{ raise_exception('a user must begin') }}{% endif %}{{ messages[0]['content'] }}",
  );
  return scratch;
}

afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.close();
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('the tokenizer pool', () => {
  it('gives the same ids in a thread as at once', async () => {
    const pool = poolOf(2);
    const messages = [{ role: 'user', content: LONG }];
    expect(await pool.encode(LONG, true)).toEqual(tokenizer.encode(LONG));
    expect(await pool.encode('short', true)).toEqual(tokenizer.encode('short'));
    expect(await pool.encodeChat(messages, CHAT)).toEqual(tokenizer.encode(tokenizer.chatPrompt(messages, CHAT)));
  });

  it('keeps the event loop free while a long text is tokenised', async () => {
    const pool = poolOf(1);
    let turns = 0;
    let over = false;
    const turn = () => {
      turns++;
      if (!over) setImmediate(turn);
    };
    turn();
    await pool.encode(LONG.repeat(50), true);
    over = true;
    expect(turns).toBeGreaterThan(10);
  });

  it('takes no more than may wait', async () => {
    const pool = poolOf(1, 2);
    const results = await Promise.allSettled(Array.from({ length: 12 }, () => pool.encode(LONG, true)));
    const busy = results.filter((it) => it.status === 'rejected').map((it) => it.reason as unknown);
    expect(busy.length).toBeGreaterThan(0);
    expect(busy.every((error) => error instanceof TokenizerBusyError)).toBe(true);
    expect(results.length - busy.length).toBeGreaterThanOrEqual(2);
  });

  it.each([
    ['tools', [{ role: 'user', content: 'hi' }], { tools: [{ function: { name: 'f', description: LONG } }] }],
    ['documents', [{ role: 'user', content: 'hi' }], { documents: [{ text: LONG }] }],
    ['variables', [{ role: 'user', content: 'hi' }], { templateVariables: { [LONG]: 1 } }],
    ['role', [{ role: LONG, content: 'hi' }], {}],
    ['name', [{ role: 'user', content: 'hi', name: LONG }], {}],
    ['reasoning', [{ role: 'user', content: 'hi', reasoning_content: LONG }], {}],
    ['tool calls', [{ role: 'assistant', content: '', tool_calls: [{ function: { arguments: { a: [LONG] } } }] }], {}],
    ['messages', Array.from({ length: 1000 }, () => ({ role: 'u', content: '' })), {}],
  ])('counts the %s of a chat as text', async (_place, messages, options) => {
    const pool = poolOf(1, 1);
    const asked = Array.from({ length: 4 }, () => pool.encodeChat(messages, { ...CHAT, ...options }));
    const results = await Promise.allSettled(asked);
    expect(results.some((it) => it.status === 'rejected')).toBe(true);
  });

  it("hands on what a template refuses, from a thread as well, in the template's words", async () => {
    const pool = poolOf(1, 100, strictFolder());
    for (const content of ['short', LONG]) {
      const refused = pool.encodeChat([{ role: 'system', content }], CHAT);
      await expect(refused).rejects.toThrow(ChatTemplateError);
      await expect(refused).rejects.toThrow('a user must begin');
    }
  });
});

describe('a chat that the template refuses', () => {
  it('is a 400 that says why', async () => {
    const server = await startTestServer({ modelFolder: strictFolder() });
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'system', content: 'a' }] }),
    });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { message: string; param: string } };
    expect(error.param).toBe('messages');
    expect(error.message).toContain('a user must begin');
    await server.close();
  });
});
