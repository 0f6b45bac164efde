/**
 * Counter-based randomness: the draw for (stream, request, position) is a pure function of the seed and these numbers, so
 * batch order, preemption or a new consumer never shift anybody else's draws. The mixer is the 32-bit finaliser of
 * MurmurHash3 (A. Appleby, public domain), applied after each word.
 */
export interface Rng {
  /** Uniform in [0, 1), with 32 random bits. */
  draw(stream: number, request: number, position: number): number;
}

/** Streams of draws in use, so that two consumers never share one. */
export const RNG_STREAM = { acceptance: 1, token: 2, duration: 3, fault: 4, length: 5 } as const;

/** 32-bit finaliser of MurmurHash3: every input bit changes every output bit with probability near one half. */
export function mix32(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

export class CounterRng implements Rng {
  readonly seed: number;

  constructor(seed: number) {
    this.seed = mix32(seed | 0);
  }

  draw(stream: number, request: number, position: number): number {
    let h = mix32(this.seed ^ Math.imul(stream | 0, 0x9e3779b1));
    h = mix32(h ^ (request | 0));
    h = mix32(h ^ Math.imul(position | 0, 0x27d4eb2f));
    return (h >>> 0) / 4294967296;
  }
}
