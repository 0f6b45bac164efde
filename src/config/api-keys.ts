import { createHash } from 'node:crypto';
import type { ApiKeyConfig } from './serve-config.ts';

/** SHA-256 of a key's UTF-8 bytes in hexadecimal: what configurations hold instead of the key. */
export function keySha256(key: string): string {
  return createHash('sha256').update(key, 'utf8').digest('hex');
}

/**
 * Keys of the environment: `TWINFER_API_KEYS` and `TWINFER_ADMIN_KEYS`, separated by commas or white space. They are hashed at
 * once; the plain text is kept nowhere.
 */
export function environmentKeys(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): ApiKeyConfig[] {
  return [
    ...keysOf(environment['TWINFER_API_KEYS'], 'env', false),
    ...keysOf(environment['TWINFER_ADMIN_KEYS'], 'env-admin', true),
  ];
}

function keysOf(text: string | undefined, name: string, admin: boolean): ApiKeyConfig[] {
  const keys = (text ?? '').split(/[\s,]+/).filter((key) => key !== '');
  return keys.map((key, index) => ({ name: `${name}-${index + 1}`, sha256Hex: keySha256(key), admin, limits: {} }));
}
