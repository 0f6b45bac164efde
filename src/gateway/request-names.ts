import type { SequenceName } from '../observability/timeline/index.ts';

const CALLS_MAX = 16_384;

interface Names {
  /** Of the answer. */
  readonly answer: string;
  /** Its `x-request-id`. */
  readonly request: string;
  /** Sequences that the engine generates for it. */
  readonly n: number;
}

/** Which call of a client a request of the engine belongs to, for the last 16,384 of them. */
export class RequestNames {
  private readonly byId = new Map<number, Names>();

  /** Notes the names of an engine's request of `n` sequences; returns its id. */
  add(id: number, answer: string, request: string, n: number): number {
    this.byId.set(id, { answer, request, n });
    if (this.byId.size > CALLS_MAX) this.byId.delete(this.byId.keys().next().value!);
    return id;
  }

  /** What a sequence is called: by its answer's id, and its index behind the first. */
  readonly nameOf = ({ id, index }: SequenceName): string => {
    const name = this.byId.get(id)?.answer ?? `engine-${id}`;
    return index === 0 ? name : `${name}.${index}`;
  };

  /** Id of the answer that an engine's request belongs to; null when it is forgotten. */
  answerOf(id: number): string | null {
    return this.byId.get(id)?.answer ?? null;
  }

  /** Sequences of the calls with this answer id or x-request-id, in the order of their prompts. */
  sequencesOf(name: string): SequenceName[] {
    const sequences: SequenceName[] = [];
    for (const [id, { answer, request, n }] of this.byId) {
      if (answer !== name && request !== name) continue;
      for (let index = 0; index < n; index++) sequences.push({ id, index });
    }
    return sequences;
  }
}
