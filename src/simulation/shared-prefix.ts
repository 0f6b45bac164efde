import { StreamTokens, type TokenSource } from '../core/token-source.ts';
import { type LengthSpec, lengthMax, lengthSource } from './lengths.ts';
import { type Uniform, uniformSource } from './random.ts';
import { checkCount } from './spec-check.ts';

/**
 * Groups of users who share a system prompt: the `shared_prefix` data set of inference-perf (github.com/kubernetes-sigs/inference-perf,
 * datagen/shared_prefix_datagen.py). Request r belongs to user r modulo (groups * usersPerGroup) in an order that is shuffled once.
 */
export interface SharedPrefixPrompts {
  readonly kind: 'shared-prefix';
  readonly groups: number;
  readonly usersPerGroup: number;
  /** 0 = no system prompt. */
  readonly systemPromptTokens: number;
  /** Drawn once per user with `repeat`, once per turn with `grow`. */
  readonly questionTokens: LengthSpec;
  readonly outputTokens: LengthSpec;
  /**
   * repeat: a user sends the same prompt every time, and the output is forgotten. grow: the next prompt of a user is the
   * whole conversation, last output included, and a new question; beyond `historyTokensMax` (prompt and output) it starts anew.
   */
  readonly history: 'repeat' | 'grow';
  readonly historyTokensMax: number;
}

/** Gives the content of request 0, 1, 2, ... */
export interface PromptSource {
  /** Prompt of the next request; its output length is left in `outputTokens`. */
  next(): TokenSource;
  readonly outputTokens: number;
}

interface User {
  readonly group: number;
  questionTokens: number;
  outputTokens: number;
  /** grow: stream of the conversation after the system prompt, and how much of it exists (last output included). */
  stream: number;
  historyTokens: number;
}

/** Throws ConfigError for numbers that are not allowed. */
export function sharedPrefixPrompts(spec: SharedPrefixPrompts, seed: number | string): PromptSource {
  checkCount('prompts.groups', spec.groups);
  checkCount('prompts.usersPerGroup', spec.usersPerGroup);
  checkCount('prompts.systemPromptTokens', spec.systemPromptTokens, 0);
  const turnMax = spec.systemPromptTokens + lengthMax(spec.questionTokens) + lengthMax(spec.outputTokens);
  if (spec.history === 'grow') checkCount('prompts.historyTokensMax', spec.historyTokensMax, turnMax);
  return spec.history === 'repeat' ? new RepeatedPrompts(spec, seed) : new GrowingPrompts(spec, seed);
}

/**
 * Streams: group g is stream g; the question of user u is stream groups + u; each output is private to its request.
 *
 *     | system prompt (g, 0, s) | question (groups + u, 0, q) | output -(r + 1) ...
 */
class RepeatedPrompts implements PromptSource {
  outputTokens = 0;
  private readonly spec: SharedPrefixPrompts;
  private readonly users: User[];
  private requests = 0;

  constructor(spec: SharedPrefixPrompts, seed: number | string) {
    this.spec = spec;
    this.users = shuffledUsers(spec, seed);
  }

  next(): TokenSource {
    const user = this.users[this.requests++ % this.users.length]!;
    this.outputTokens = user.outputTokens;
    const { systemPromptTokens } = this.spec;
    const question = [user.stream, 0, user.questionTokens];
    const head = systemPromptTokens === 0 ? question : [user.group, 0, systemPromptTokens, ...question];
    return new StreamTokens(systemPromptTokens + user.questionTokens, -this.requests, 0, Int32Array.from(head));
  }
}

/**
 * Streams: group g is stream g; each conversation is one stream of its own, so that the output of a turn and the question of the
 * next one follow each other in it, and the next prompt repeats exactly what the engine has generated.
 *
 *     | system prompt (g, 0, s) | conversation (c, 0, ...): question, output, question, ... | output ...
 */
class GrowingPrompts implements PromptSource {
  outputTokens = 0;
  private readonly spec: SharedPrefixPrompts;
  private readonly users: User[];
  private readonly questionTokens: () => number;
  private readonly outputLength: () => number;
  private requests = 0;
  private streams: number;

  constructor(spec: SharedPrefixPrompts, seed: number | string) {
    this.spec = spec;
    this.users = shuffledUsers(spec, seed);
    this.streams = spec.groups + this.users.length;
    this.questionTokens = lengthSource(spec.questionTokens, uniformSource(seed, 'questions'), 'prompts.questionTokens');
    this.outputLength = lengthSource(spec.outputTokens, uniformSource(seed, 'outputs'), 'prompts.outputTokens');
  }

  next(): TokenSource {
    const user = this.users[this.requests++ % this.users.length]!;
    const questionTokens = this.questionTokens();
    this.outputTokens = this.outputLength();
    const { systemPromptTokens, historyTokensMax } = this.spec;
    let promptTokens = systemPromptTokens + user.historyTokens + questionTokens;
    if (promptTokens + this.outputTokens > historyTokensMax) {
      user.historyTokens = 0;
      user.stream = this.streams++;
      promptTokens = systemPromptTokens + questionTokens;
    }
    user.historyTokens += questionTokens + this.outputTokens;
    const head = systemPromptTokens === 0 ? null : Int32Array.of(user.group, 0, systemPromptTokens);
    return new StreamTokens(promptTokens, user.stream, 0, head);
  }
}

function shuffledUsers(spec: SharedPrefixPrompts, seed: number | string): User[] {
  const questionTokens = lengthSource(spec.questionTokens, uniformSource(seed, 'questions'), 'prompts.questionTokens');
  const outputTokens = lengthSource(spec.outputTokens, uniformSource(seed, 'outputs'), 'prompts.outputTokens');
  const users: User[] = [];
  for (let u = 0; u < spec.groups * spec.usersPerGroup; u++) {
    const group = Math.floor(u / spec.usersPerGroup);
    users.push({
      group,
      questionTokens: questionTokens(),
      outputTokens: outputTokens(),
      stream: spec.groups + u,
      historyTokens: 0,
    });
  }
  shuffle(users, uniformSource(seed, 'order'));
  return users;
}

/** In place: R. Fisher and F. Yates, as given by R. Durstenfeld, CACM 7(7), 1964. */
function shuffle(items: User[], uniform: Uniform): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(uniform() * (i + 1));
    const item = items[i]!;
    items[i] = items[j]!;
    items[j] = item;
  }
}
