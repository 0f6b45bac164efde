import type { Tokenizer } from './tokenizer.ts';

/** What a simulated model says: plain sentences about the machine that it pretends to be. */
const SENTENCES: readonly string[] = [
  'A request arrives as text and leaves as text, but in between it is a list of numbers.',
  'The tokenizer cuts the prompt into pieces that the model has seen many times before.',
  'Each piece has an identifier, and the identifiers are what the scheduler counts.',
  'The prompt is computed first, because every later token looks back at it.',
  'This first phase is called prefill, and it keeps the arithmetic units of the device busy.',
  'What follows is called decode, and it is mostly a matter of reading memory quickly.',
  'One token is produced for each sequence in each step, and then the step begins again.',
  'Keys and values of earlier tokens are kept in blocks, so that nothing is computed twice.',
  'A block table says which blocks belong to which sequence, and in which order.',
  'When two prompts begin alike, they can share the blocks of the part that they have in common.',
  'Sharing saves time, and it saves memory, which is usually the scarcer of the two.',
  'A block that nobody uses any more is not thrown away at once.',
  'It stays where it is until its place is needed, in case the same words come back.',
  'The scheduler decides in every step who may go on and who has to wait.',
  'It has a budget of tokens, and it spends the budget on those who are running first.',
  'What is left goes to those at the head of the queue.',
  'A long prompt is cut into chunks, so that it does not hold up everybody else.',
  'If memory runs out, a sequence is sent back to the queue and its work is done again later.',
  'That is called preemption, and a good scheduler avoids it by looking ahead.',
  'Looking ahead is hard, since nobody knows how long an answer will be.',
  'A fair guess is better than none, and a guess that learns is better than a fair one.',
  'Users notice two things: how long it takes until the first word appears, and how steadily the rest follows.',
  'The first is the time to first token, and it grows with the queue and with the length of the prompt.',
  'The second is the time between tokens, and it grows with the size of the batch.',
  'A larger batch serves more people at once and makes each of them wait a little longer.',
  'Finding the right size is a bargain between the two, and the bargain changes with the hour of the day.',
  'In the morning the questions are short, and in the afternoon somebody pastes a whole report.',
  'An operator wants to know beforehand what happens then.',
  'A model of the machine can tell, if it makes the same decisions as the machine itself.',
  'That is the idea of a digital twin: the same code, with a clock that can be turned.',
  'An hour of traffic is replayed in a second, and every step of it can be looked at.',
  'Nothing is hidden, and nothing is different the second time.',
  'The same seed gives the same answer, down to the last byte.',
  'When something goes wrong, the log says what was decided and why.',
  'A failed step is tried again if nothing was lost, and reported if something was.',
  'A client that goes away is forgotten, and its blocks are free for the next one.',
  'A client that reads slowly is given some patience, but not all of the memory.',
  'When the queue is full, the server says so and names a time at which to come back.',
  'An honest refusal is better than a promise that nobody can keep.',
  'Good numbers are measured, not imagined, and they carry their date with them.',
  'The device in this conversation is a model of a device.',
  'Its words are chosen beforehand, but its timing is meant to be true.',
  'If you read this in a test, the test has come a long way already.',
  'Thank you for asking; there is more to say, and it will be said in order.',
];

/** The sentences as token ids of a tokenizer, to be read round and round. */
export class ReadableText {
  readonly ids: Int32Array;
  /** Index in `ids` at which each sentence begins. */
  readonly sentenceStarts: Int32Array;

  constructor(tokenizer: Tokenizer) {
    const parts = SENTENCES.map((sentence) => tokenizer.encode(` ${sentence}`, false));
    const starts: number[] = [];
    let length = 0;
    for (const part of parts) {
      starts.push(length);
      length += part.length;
    }
    this.ids = new Int32Array(length);
    for (const [i, part] of parts.entries()) this.ids.set(part, starts[i]!);
    this.sentenceStarts = Int32Array.from(starts);
  }
}
