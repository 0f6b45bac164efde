import * as timers from 'node:timers/promises';

/** Resolves in the next turn of the event loop: what takes long lets others have theirs in between. */
export function nextTurn(): Promise<void> {
  return timers.setImmediate();
}
