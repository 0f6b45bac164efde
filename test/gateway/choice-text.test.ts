import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChoiceText } from '../../src/gateway/choice-text.ts';
import { ByteTokenizer } from '../../src/tokenizer/index.ts';

const tokenizer = new ByteTokenizer();
const EOS = tokenizer.eosTokenIds[0]!;

function run(
  text: string,
  stop: readonly string[],
  includeStop = false,
  tokensMin = 0,
): { released: string[]; choice: ChoiceText } {
  const choice = new ChoiceText(tokenizer, true, stop, includeStop, tokensMin);
  const released: string[] = [];
  for (const id of tokenizer.encode(text)) {
    released.push(choice.push(id));
    if (choice.stopString !== null) break;
  }
  if (choice.stopString === null) released.push(choice.flush());
  return { released, choice };
}

/** The text before the stop string whose end comes first; of those that end together, the one that begins first. */
function expected(text: string, stop: readonly string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const starts = stop.map((s) => text.slice(0, end).indexOf(s)).filter((at) => at >= 0);
    if (starts.length > 0) return text.slice(0, Math.min(...starts));
  }
  return text;
}

const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é', '語', '😀'), maxLength: 40 });
const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é'), minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 3,
});

describe('the text of a choice', () => {
  it('ends before the first stop string, and nothing is ever released past it', () => {
    fc.assert(
      fc.property(letters, stops, (text, stop) => {
        const { released, choice } = run(text, stop);
        const want = expected(text, stop);
        expect(released.join('')).toBe(want);
        expect(choice.stopString !== null).toBe(stop.some((s) => text.includes(s)));
        let sofar = '';
        for (const piece of released) {
          sofar += piece;
          expect(want.startsWith(sofar)).toBe(true);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('holds back no more than a stop string can need', () => {
    fc.assert(
      fc.property(letters, stops, (text, stop) => {
        const choice = new ChoiceText(tokenizer, true, stop, false, 0);
        let released = 0;
        let pushed = '';
        const longest = Math.max(...stop.map((s) => s.length));
        for (const character of text) {
          for (const id of tokenizer.encode(character)) released += choice.push(id).length;
          pushed += character;
          if (choice.stopString !== null) return;
          expect(pushed.length - released).toBeLessThan(longest);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('counts the tokens up to the one that completes the stop string', () => {
    const { choice } = run('one two three', [' two']);
    expect(choice.tokens).toBe('one two'.length);
    expect(choice.stopString).toBe(' two');
  });

  it('keeps the stop string where the client wants it', () => {
    expect(run('one two three', ['two'], true).released.join('')).toBe('one two');
  });

  it('looks for no stop string among the tokens that are the minimum', () => {
    expect(run('aXbXc', ['X'], false, 2).released.join('')).toBe('aXb');
  });

  it('writes the same as JSON content in ASCII, token by token', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        const plain = new ChoiceText(tokenizer, true, [], false, 0);
        const json = new ChoiceText(tokenizer, true, [], false, 0);
        for (const id of [...tokenizer.encode(text), EOS]) {
          const content = json.pushJson(id);
          expect(/^[\x20-\x7e]*$/.test(content)).toBe(true);
          expect(JSON.parse(`"${content}"`)).toBe(plain.push(id));
        }
        expect(json.flush()).toBe(plain.flush());
        expect(json.tokens).toBe(plain.tokens);
      }),
      { numRuns: 300 },
    );
  });
});
