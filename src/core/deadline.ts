import type { Task } from './clock.ts';
import type { Engine } from './engine.ts';
import type { Sequence } from './sequence.ts';

/** Ends a sequence that is still here at its deadline. */
export class Deadline implements Task {
  private readonly engine: Engine;
  private readonly sequence: Sequence;

  constructor(engine: Engine, sequence: Sequence) {
    this.engine = engine;
    this.sequence = sequence;
  }

  run(nowNs: number): void {
    this.engine.end(this.sequence, 'timeout', nowNs);
  }
}
