import type { AlertLabels, AlertState } from './alert-history.ts';
import { labelsKey, type VectorNode } from './vector-node.ts';

/** The alerts of one rule: one per set of labels that its condition may give. */
export interface AlertSlot {
  readonly labels: AlertLabels;
  /** When the condition began to hold; NaN: it does not hold. */
  activeMs: number;
  /** When it began to fire; NaN: it does not. */
  firingMs: number;
  /** Of the condition's element; the last one, when it is over. */
  value: number;
}

/**
 * Prometheus' state machine: an alert whose element is not there is gone; the first time that it is there it becomes active; it fires
 * once it has been active for `for`, at once if that is 0.
 */
export class AlertStates {
  readonly slots: readonly AlertSlot[];
  private readonly slotOf: readonly number[];
  private readonly forMs: number;
  private readonly node: VectorNode;
  private readonly seen: Uint8Array;

  constructor(node: VectorNode, forSeconds: number) {
    const keys = [...new Set(node.labels.map(labelsKey))];
    this.slotOf = node.labels.map((labels) => keys.indexOf(labelsKey(labels)));
    this.slots = keys.map((_, slot) => ({
      labels: node.labels[this.slotOf.indexOf(slot)]!,
      activeMs: Number.NaN,
      firingMs: Number.NaN,
      value: Number.NaN,
    }));
    this.node = node;
    this.forMs = Math.round(forSeconds * 1000);
    this.seen = new Uint8Array(keys.length);
  }

  /** The condition has been evaluated at that moment. `changed` is called for each alert whose state is another one than before. */
  update(nowMs: number, changed: (slot: AlertSlot, was: AlertState) => void): void {
    const { node, seen, slots } = this;
    seen.fill(0);
    for (let i = 0; i < node.present.length; i++) {
      if (node.present[i] === 0) continue;
      const at = this.slotOf[i]!;
      if (seen[at] === 1)
        throw new Error(`two elements of one condition have the labels ${labelsKey(slots[at]!.labels)}`);
      seen[at] = 1;
      slots[at]!.value = node.values[i]!;
    }
    for (let at = 0; at < slots.length; at++) {
      const slot = slots[at]!;
      const was = slotState(slot);
      if (seen[at] === 0) {
        slot.activeMs = Number.NaN;
        slot.firingMs = Number.NaN;
      } else {
        if (was === 'inactive') slot.activeMs = nowMs;
        if (was !== 'firing' && nowMs - slot.activeMs >= this.forMs) slot.firingMs = nowMs;
      }
      if (slotState(slot) !== was) changed(slot, was);
    }
  }
}

export function slotState(slot: AlertSlot): AlertState {
  if (Number.isNaN(slot.activeMs)) return 'inactive';
  return Number.isNaN(slot.firingMs) ? 'pending' : 'firing';
}
