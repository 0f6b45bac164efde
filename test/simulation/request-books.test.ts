import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FinishReason } from '../../src/core/index.ts';
import { RequestBooks } from '../../src/simulation/request-books.ts';
import { finishedSequence, REJECTED } from './finished-sequence.ts';

const REASONS: readonly FinishReason[] = ['stop', 'length', 'abort', 'rejected', 'timeout', 'error'];

describe('RequestBooks', () => {
  it('books every end under its name', () => {
    const books = new RequestBooks();
    for (const finishReason of REASONS) {
      const sequence = finishedSequence({ finishReason });
      if (finishReason === 'rejected') books.rejected(sequence.request, 'never-fits');
      else books.received(sequence.request);
      books.finished(sequence, finishReason);
    }
    expect(books.counts()).toEqual({ injected: 6, completed: 2, rejected: 1, aborted: 1, timedOut: 1, failed: 1 });
    expect(books.rejections).toEqual({ 'never-fits': 1 });
  });

  it('counts a request of n sequences once, when the last ends, as the first end that is no completion', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom<FinishReason>('stop', 'length', 'abort', 'error'), { minLength: 2 }),
        (ends) => {
          const books = new RequestBooks();
          const sequences = ends.map((finishReason, index) =>
            finishedSequence({ index, n: ends.length, finishReason }),
          );
          books.received(sequences[0]!.request);
          sequences.forEach((sequence, i) => {
            const { completed, aborted, failed } = books.counts();
            expect(completed + aborted + failed).toBe(0);
            books.finished(sequence, ends[i]!);
          });
          const bad = ends.find((reason) => reason === 'abort' || reason === 'error');
          expect(books.counts()).toMatchObject({
            injected: 1,
            completed: bad === undefined ? 1 : 0,
            aborted: bad === 'abort' ? 1 : 0,
            failed: bad === 'error' ? 1 : 0,
          });
        },
      ),
    );
  });

  it('counts a rejected request of n sequences once', () => {
    const books = new RequestBooks();
    const sequences = [0, 1, 2].map((index) => finishedSequence({ n: 3, index }, REJECTED));
    books.rejected(sequences[0]!.request, 'queue-full');
    for (const sequence of sequences) books.finished(sequence, 'rejected');
    expect(books.counts()).toMatchObject({ injected: 1, rejected: 1 });
  });
});
