/** Resolves in the next turn of the event loop: what takes long lets others have theirs in between. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
