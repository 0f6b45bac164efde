import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import {
  ByteTokenizer,
  ModelTokenizer,
  type Tokenizer,
  TokenizerError,
  type TokenizerJson,
} from '../tokenizer/index.ts';

/** The tokenizer of a model folder (Hugging Face's files); the built-in one without a folder. Throws TokenizerError. */
export function openTokenizer(folder: string | null): Tokenizer {
  if (folder === null) return new ByteTokenizer();
  const tokenizer = json(folder, 'tokenizer.json');
  if (tokenizer === null)
    throw new TokenizerError(`${join(folder, 'tokenizer.json')}: not found; a model folder has one`);
  const model = tokenizer['model'] as { type?: unknown; vocab?: unknown } | null | undefined;
  if (typeof model !== 'object' || model === null || typeof model.vocab !== 'object' || model.vocab === null) {
    throw new TokenizerError(
      `${join(folder, 'tokenizer.json')}: has no model.vocab; a tokenizer.json of Hugging Face's tokenizers is needed`,
    );
  }
  // Its pieces join by rules of their own ('##'), which a table of bytes does not tell.
  if (model.type === 'WordPiece')
    throw new TokenizerError(
      `${join(folder, 'tokenizer.json')}: model.type is WordPiece; allowed: BPE, Unigram (a model that generates has one of them)`,
    );
  const template = join(folder, 'chat_template.jinja');
  return new ModelTokenizer({
    folder,
    name: basename(resolve(folder)),
    tokenizer: tokenizer as unknown as TokenizerJson,
    config: json(folder, 'tokenizer_config.json') ?? {},
    template: existsSync(template) ? readFileSync(template, 'utf8') : null,
    eosTokenIds: eosIds(folder, 'generation_config.json') ?? eosIds(folder, 'config.json') ?? [],
  });
}

function eosIds(folder: string, name: string): readonly number[] | null {
  const given = json(folder, name)?.['eos_token_id'] ?? null;
  const ids: readonly unknown[] = Array.isArray(given) ? given : given === null ? [] : [given];
  const wrong = ids.find((id) => !Number.isSafeInteger(id) || (id as number) < 0);
  if (wrong !== undefined)
    throw new TokenizerError(
      `${join(folder, name)}: eos_token_id has ${JSON.stringify(wrong)}; allowed: a token id, or a list of token ids`,
    );
  return ids.length > 0 ? (ids as readonly number[]) : null;
}

function json(folder: string, name: string): Record<string, unknown> | null {
  const path = join(folder, name);
  if (!existsSync(path)) return null;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new TokenizerError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TokenizerError(`${path}: is no JSON object`);
  return value as Record<string, unknown>;
}
