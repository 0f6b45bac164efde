import { createHash } from 'node:crypto';

/**
 * What a client's second try has in common with its first: key and body, as an integer in [1, 2^48]. The body itself is not
 * kept. `idempotencyKey`: what the client calls the request (`idempotency-key` or `x-request-id` header), which tells equal
 * bodies of different clients apart.
 */
export function bodyFingerprint(keyName: string | null, body: unknown, idempotencyKey: string | null = null): number {
  const text = JSON.stringify([keyName, idempotencyKey, body]);
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) + 1;
}

/**
 * What a client says of itself by `x-stainless-retry-count`, which the OpenAI clients send with every request: true = a second
 * try, false = a first one, null = it does not say.
 */
export function retryMark(header: string | readonly string[] | undefined): boolean | null {
  if (typeof header !== 'string' || !/^\d{1,6}$/.test(header)) return null;
  return Number(header) > 0;
}
