import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { openTokenizer } from '../../src/runtime/open-tokenizer.ts';
import { IncrementalDecoder, ReadableText, TokenizerError } from '../../src/tokenizer/index.ts';
import { REPOSITORY_ROOT } from '../support/repository-files.ts';

const models = process.env['TWINFER_MODELS'] ?? join(REPOSITORY_ROOT, '..', 'shared', 'models');
const smol = join(models, 'smollm2-135m-instruct');
const scratch = mkdtempSync(join(tmpdir(), 'twinfer-tokenizer-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A folder with these files. */
function folder(name: string, files: Record<string, unknown>): string {
  const path = mkdtempSync(join(scratch, name));
  for (const [file, content] of Object.entries(files)) {
    writeFileSync(join(path, file), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return path;
}

describe.skipIf(!existsSync(smol))("SmolLM2's tokenizer", () => {
  const tokenizer = openTokenizer(existsSync(smol) ? smol : null);

  it('gives the ids and the text that the reference gives', () => {
    const golden = JSON.parse(readFileSync(join(smol, 'golden-tokenizer.json'), 'utf8')) as {
      text: string;
      ids: number[];
      decoded: string;
    }[];
    expect(golden.length).toBeGreaterThan(20);
    for (const { text, ids, decoded } of golden) {
      expect([...tokenizer.encode(text, true)]).toEqual(ids);
      expect(tokenizer.decode(ids, false)).toBe(decoded);
    }
  });

  it('decodes token by token to what it decodes at once', () => {
    const ids = fc.array(fc.integer({ min: 0, max: tokenizer.vocabularySize - 1 }), { maxLength: 40 });
    fc.assert(
      fc.property(ids, (all) => {
        const decoder = new IncrementalDecoder(tokenizer, true);
        const pieces = all.map((id) => decoder.push(id));
        expect(pieces.join('') + decoder.flush()).toBe(tokenizer.decode(all, true));
      }),
    );
  });

  it('has for each token that is whole by itself its text as JSON', () => {
    let whole = 0;
    for (let id = 0; id < tokenizer.vocabularySize; id++) {
      const json = tokenizer.jsonPiece(id);
      if (json === null || tokenizer.isSpecial(id)) continue;
      whole++;
      expect(JSON.parse(`"${json}"`)).toBe(tokenizer.pieceText(id));
    }
    expect(whole).toBeGreaterThan(0.9 * tokenizer.vocabularySize);
  });

  it('uses the chat template of its configuration', () => {
    const options = {
      addGenerationPrompt: true,
      continueFinalMessage: false,
      tools: null,
      documents: null,
      templateVariables: {},
    };
    const text = tokenizer.chatPrompt([{ role: 'user', content: 'hi' }], options);
    expect(text).toContain('<|im_start|>system\nYou are a helpful AI assistant');
    expect(text.endsWith('<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n')).toBe(true);
    expect(tokenizer.eosTokenIds).toEqual([2]);
  });

  it('can say what simulated answers say', () => {
    const { ids } = new ReadableText(tokenizer);
    expect(tokenizer.decode(ids, false)).toContain(' The tokenizer cuts the prompt into pieces');
  });
});

describe('a vocabulary in the manner of SentencePiece', () => {
  const path = folder('metaspace', {
    'tokenizer.json': {
      version: '1.0',
      added_tokens: [
        { id: 2, content: '</s>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
      ],
      normalizer: {
        type: 'Sequence',
        normalizers: [
          { type: 'Prepend', prepend: '▁' },
          { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
        ],
      },
      pre_tokenizer: null,
      post_processor: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          { type: 'Strip', content: ' ', start: 1, stop: 0 },
        ],
      },
      model: {
        type: 'BPE',
        unk_token: '<unk>',
        byte_fallback: true,
        vocab: { '<unk>': 0, '<s>': 1, '</s>': 2, '▁': 3, h: 4, i: 5, '<0xC3>': 6, '<0xA9>': 7, '▁h': 8, '▁hi': 9 },
        merges: ['▁ h', '▁h i'],
      },
    },
    'tokenizer_config.json': { eos_token: '</s>' },
  });
  const tokenizer = openTokenizer(path);

  it('loses the space before the first word, at once and token by token', () => {
    const ids = [9, 9, 6, 7];
    expect(tokenizer.decode(ids, true)).toBe('hi hié');
    const decoder = new IncrementalDecoder(tokenizer, true);
    expect(ids.map((id) => decoder.push(id))).toEqual(['hi', ' hi', '', 'é']);
    expect([...tokenizer.encode('hi hi', false)]).toEqual([9, 9]);
  });

  it('knows that half a character is no text of its own', () => {
    expect(tokenizer.jsonPiece(6)).toBeNull();
    expect(tokenizer.jsonPiece(9)).toBe(' hi');
    expect(tokenizer.hasChatTemplate).toBe(false);
  });
});

describe('a folder that is no model folder', () => {
  const parts = { added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  const vocab = { ...parts, model: { type: 'BPE', vocab: { a: 0 }, merges: [] } };
  it.each([
    ['no tokenizer.json', {}, /tokenizer\.json: not found/],
    ['JSON that is none', { 'tokenizer.json': '{"model":' }, /tokenizer\.json: /],
    ['JSON that is no object', { 'tokenizer.json': 'null' }, /tokenizer\.json: is no JSON object/],
    ['no vocabulary', { 'tokenizer.json': { model: {} } }, /has no model\.vocab/],
    ['an empty vocabulary', { 'tokenizer.json': { model: { vocab: null } } }, /has no model\.vocab/],
    ['pieces that join otherwise', { 'tokenizer.json': { model: { type: 'WordPiece', vocab: {} } } }, /is WordPiece/],
    [
      'an end of sequence that is no id',
      { 'tokenizer.json': vocab, 'config.json': { eos_token_id: [0, -1] } },
      /config\.json: eos_token_id has -1/,
    ],
    ['no end of sequence', { 'tokenizer.json': vocab }, /no end-of-sequence token/],
    [
      'a template that is none',
      { 'tokenizer.json': vocab, 'config.json': { eos_token_id: 0 }, 'chat_template.jinja': '{% for %}' },
      /chat template/,
    ],
  ])('%s: one line that names the file', (_name, files, message) => {
    const path = folder('bad', files as Record<string, unknown>);
    expect(() => openTokenizer(path)).toThrow(TokenizerError);
    expect(() => openTokenizer(path)).toThrow(message);
    expect(() => openTokenizer(path)).toThrow(path);
  });
});
