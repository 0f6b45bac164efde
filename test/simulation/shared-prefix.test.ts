import { describe, expect, it } from 'vitest';
import { emptyBlockKey, type TokenSource } from '../../src/core/index.ts';
import { type SharedPrefixPrompts, sharedPrefixPrompts } from '../../src/simulation/shared-prefix.ts';

const SPEC: SharedPrefixPrompts = {
  kind: 'shared-prefix',
  groups: 3,
  usersPerGroup: 4,
  systemPromptTokens: 96,
  questionTokens: { kind: 'uniform', tokensMin: 20, tokensMax: 60 },
  outputTokens: { kind: 'uniform', tokensMin: 5, tokensMax: 50 },
  history: 'repeat',
  historyTokensMax: 400,
};

function tokens(prompt: TokenSource, count: number): number[] {
  const into = new Int32Array(count);
  prompt.copy(0, count, into, 0);
  return [...into];
}

function take(spec: SharedPrefixPrompts, count: number, seed = 1): { prompt: TokenSource; output: number }[] {
  const source = sharedPrefixPrompts(spec, seed);
  return Array.from({ length: count }, () => {
    const prompt = source.next();
    return { prompt, output: source.outputTokens };
  });
}

describe('shared prefixes, repeated', () => {
  it('users follow each other in one order and send the same prompt every time', () => {
    const turns = take(SPEC, 36);
    for (let r = 12; r < 36; r++) {
      const first = turns[r - 12]!;
      const again = turns[r]!;
      expect(again.prompt.length).toBe(first.prompt.length);
      expect(again.output).toBe(first.output);
      expect(tokens(again.prompt, again.prompt.length)).toEqual(tokens(first.prompt, first.prompt.length));
    }
    const distinct = new Set(turns.map(({ prompt }) => tokens(prompt, prompt.length).join()));
    expect(distinct.size).toBe(12);
  });

  it('a group shares its system prompt and nothing else; outputs are shared by nobody', () => {
    const turns = take(SPEC, 24);
    const systems = new Map<string, number>();
    for (const { prompt } of turns.slice(0, 12)) {
      const system = tokens(prompt, 96).join();
      systems.set(system, (systems.get(system) ?? 0) + 1);
    }
    expect([...systems.values()]).toEqual([4, 4, 4]);
    const answer = (turn: { prompt: TokenSource }): number[] =>
      tokens(turn.prompt, turn.prompt.length + 20).slice(turn.prompt.length);
    expect(answer(turns[12]!)).not.toEqual(answer(turns[0]!));
  });

  it('full blocks of a repeated prompt have equal keys', () => {
    const turns = take(SPEC, 13);
    const keys = [turns[0]!, turns[12]!].map(({ prompt }) => {
      const key = emptyBlockKey();
      return Array.from({ length: Math.floor(prompt.length / 16) }, (_, i) => {
        prompt.blockKey(i, 16, key);
        return { ...key };
      });
    });
    expect(keys[0]!.length).toBeGreaterThan(6);
    expect(keys[1]).toEqual(keys[0]);
  });

  it('the order depends on the seed, not on the group', () => {
    const groupsOf = (seed: number): string =>
      take(SPEC, 12, seed)
        .map(({ prompt }) => tokens(prompt, 1)[0])
        .join();
    expect(groupsOf(1)).not.toBe(groupsOf(2));
    expect(groupsOf(1)).toBe(groupsOf(1));
  });

  it('works without a system prompt', () => {
    const turns = take({ ...SPEC, systemPromptTokens: 0 }, 24);
    expect(tokens(turns[12]!.prompt, 20)).toEqual(tokens(turns[0]!.prompt, 20));
    expect(new Set(turns.slice(0, 12).map(({ prompt }) => tokens(prompt, 20).join())).size).toBe(12);
  });
});

describe('shared prefixes, growing', () => {
  const GROW: SharedPrefixPrompts = { ...SPEC, history: 'grow' };

  it('the next prompt of a user is the last one, its output and a question, until the limit', () => {
    const turns = take(GROW, 12 * 12);
    let grown = 0;
    let begun = 0;
    for (let r = 12; r < turns.length; r++) {
      const last = turns[r - 12]!;
      const next = turns[r]!;
      const known = last.prompt.length + last.output;
      expect(next.prompt.length + next.output).toBeLessThanOrEqual(400);
      if (next.prompt.length > known) {
        grown++;
        expect(next.prompt.length - known).toBeGreaterThanOrEqual(20);
        expect(tokens(next.prompt, known)).toEqual(tokens(last.prompt, known));
      } else {
        begun++;
        expect(tokens(next.prompt, 96)).toEqual(tokens(last.prompt, 96));
        expect(tokens(next.prompt, 112).slice(96)).not.toEqual(tokens(last.prompt, 112).slice(96));
      }
    }
    expect(grown).toBeGreaterThan(60);
    expect(begun).toBeGreaterThan(6);
  });

  it('a limit that a single turn exceeds is refused', () => {
    expect(() => sharedPrefixPrompts({ ...GROW, historyTokensMax: 205 }, 1)).toThrow(
      'prompts.historyTokensMax: 205 is not allowed; an integer of at least 206',
    );
  });
});

it.each([
  [{ groups: 0 }, 'prompts.groups: 0'],
  [{ usersPerGroup: 1.5 }, 'prompts.usersPerGroup: 1.5'],
  [{ systemPromptTokens: -1 }, 'prompts.systemPromptTokens: -1'],
  [{ questionTokens: { kind: 'fixed', tokens: 0 } as const }, 'prompts.questionTokens.tokens: 0'],
])('%j is refused', (change, message) => {
  expect(() => sharedPrefixPrompts({ ...SPEC, ...change }, 1)).toThrow(message);
});
