import type { SequenceName } from '../observability/timeline/index.ts';

const CALLS_MAX = 16_384;

interface Names {
  /** Of the answer. */
  readonly answer: string;
  /** Its `x-request-id`. */
  readonly request: string;
}

/** Which call of a client a request of the engine belongs to, for the last 16,384 of them. */
export class RequestNames {
  private readonly byId = new Map<number, Names>();

  /** Notes the names of an engine's request; returns its id. */
  add(id: number, answer: string, request: string): number {
    this.byId.set(id, { answer, request });
    if (this.byId.size > CALLS_MAX) this.byId.delete(this.byId.keys().next().value!);
    return id;
  }

  /** What a sequence is called: the answer's id, with its number in the engine where that is not the only one of the call. */
  readonly nameOf = ({ id, index }: SequenceName): string => {
    const name = this.byId.get(id)?.answer ?? `engine-${id}`;
    return index === 0 ? name : `${name}.${index}`;
  };

  /** Id of the answer that an engine's request belongs to; null when it is forgotten. */
  answerOf(id: number): string | null {
    return this.byId.get(id)?.answer ?? null;
  }

  /** Engine ids of the calls with this answer id or x-request-id, in their order; a call with several prompts has several. */
  idsOf(name: string): number[] {
    const ids: number[] = [];
    for (const [id, { answer, request }] of this.byId) if (answer === name || request === name) ids.push(id);
    return ids;
  }
}
