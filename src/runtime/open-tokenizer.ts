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
  const model = tokenizer['model'] as { vocab?: unknown } | undefined;
  if (typeof model !== 'object' || model === null || typeof model.vocab !== 'object') {
    throw new TokenizerError(
      `${join(folder, 'tokenizer.json')}: has no model.vocab; a tokenizer.json of Hugging Face's tokenizers is needed`,
    );
  }
  const template = join(folder, 'chat_template.jinja');
  return new ModelTokenizer({
    folder,
    name: basename(resolve(folder)),
    tokenizer: tokenizer as unknown as TokenizerJson,
    config: json(folder, 'tokenizer_config.json') ?? {},
    template: existsSync(template) ? readFileSync(template, 'utf8') : null,
    eosTokenIds: eosIds(json(folder, 'generation_config.json')) ?? eosIds(json(folder, 'config.json')) ?? [],
  });
}

function eosIds(config: Readonly<Record<string, unknown>> | null): readonly number[] | null {
  const ids = config?.['eos_token_id'];
  if (typeof ids === 'number') return [ids];
  return Array.isArray(ids) && ids.length > 0 ? (ids as number[]) : null;
}

function json(folder: string, name: string): Record<string, unknown> | null {
  const path = join(folder, name);
  if (!existsSync(path)) return null;
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new TokenizerError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
