/** A configuration value that the core cannot run with. The message names the field, the value and what is allowed. */
export class ConfigError extends Error {
  readonly field: string;

  constructor(field: string, value: unknown, allowed: string) {
    super(`${field}: ${String(value)} is not allowed; ${allowed}`);
    this.name = 'ConfigError';
    this.field = field;
  }
}

/** A law of the engine was broken: a bug in Twinfer, never the user's fault. `history` holds the last steps, oldest first. */
export class InvariantError extends Error {
  readonly law: string;
  history: readonly string[];

  constructor(law: string, detail: string, history: readonly string[] = []) {
    super(`invariant "${law}" violated: ${detail}`);
    this.name = 'InvariantError';
    this.law = law;
    this.history = history;
  }
}

/** Why a request was not admitted; it then ends with finish reason `rejected`. */
export const REJECTION_REASONS = [
  'prompt-empty', // a prompt has at least one token
  'prompt-too-long', // prompt + 1 token > modelLenMax
  'never-fits', // prompt + outputTokensMax needs more blocks than the pool has
  'prompt-exceeds-step', // chunked prefill is off and the prompt is larger than the token budget of a step
  'queue-full', // waitingMax requests wait already
  'deadline-passed', // the deadline is before the arrival
  'draining', // the engine takes no new work
  'device-lost', // the device is gone
] as const;
export type RejectionReason = (typeof REJECTION_REASONS)[number];
