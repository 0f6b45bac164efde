import type { FinishReason, Sequence } from './sequence.ts';

/** Where a sequence's tokens go: a stream of the gateway, or a replay's recorder. */
export interface TokenSink {
  /**
   * Output tokens [from, from + count) became known at the end of the step that the engine is applying. Ids are in
   * `sequence.output` unless the backend implies them.
   */
  tokens(sequence: Sequence, from: number, count: number): void;
  /** Called exactly once per sequence, after its last tokens. */
  finished(sequence: Sequence, reason: FinishReason): void;
}

/** For callers that only read the events. */
export const NO_SINK: TokenSink = {
  tokens() {},
  finished() {},
};
