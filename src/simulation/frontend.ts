import type { EngineHostProfile } from '../backends/simulated/index.ts';
import type { Sequence } from '../core/index.ts';
import { type Uniform, uniformSource } from './random.ts';

/**
 * What lies between a client and the engine (API server, tokeniser, output processing), as the engine host profile has it: the client's times
 * are the engine's and these.
 */
export class Frontend {
  private readonly host: EngineHostProfile;
  private readonly uniform: Uniform;
  /** First tokens that are on their way to a client, or have come there: how long each takes, ns. */
  private readonly firstTokens = new Map<Sequence, number>();

  /** `seed` decides which first tokens are slow ones. */
  constructor(host: EngineHostProfile, seed: number | string) {
    this.host = host;
    this.uniform = uniformSource(seed, 'slow first tokens');
  }

  /** From the client's sending of a prompt until the engine sees it, whole ns. */
  requestNs(promptTokens: number): number {
    return Math.round(this.host.requestBeforeNs + promptTokens * this.host.perPromptTokenNs);
  }

  /** From the engine's next first token to the client's, ns; asked once for each. `live`: sequences that the engine has got and not ended. */
  firstTokenNs(live: number): number {
    const { firstTokenNsPerSequence, slowFirstTokens } = this.host;
    const slow = this.uniform() < slowFirstTokens.share;
    const slowNs = slow ? Math.round(this.uniform() * slowFirstTokens.nsMax) : 0;
    return live * firstTokenNsPerSequence + slowNs;
  }

  /** From the engine's end of a sequence to the client's, ns. */
  get endNs(): number {
    return this.host.requestAfterNs;
  }

  /** The engine has delivered a sequence's first token. */
  deliverFirstToken(sequence: Sequence, live: number): void {
    this.firstTokens.set(sequence, this.firstTokenNs(live));
  }

  /** How long the first token of a sequence that ends now was on its way, ns; asked once. */
  takeFirstTokenNs(sequence: Sequence): number {
    const ns = this.firstTokens.get(sequence) ?? 0;
    this.firstTokens.delete(sequence);
    return ns;
  }
}
