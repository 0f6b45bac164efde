import { InvariantError } from './errors.ts';

/** Always on, also in production. One condition per call, phrased positively; the message says what must hold. */
export function assert(condition: boolean, law: string): asserts condition {
  if (!condition) throw new InvariantError(law, 'assertion failed');
}
