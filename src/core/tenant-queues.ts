import { assert } from './assert.ts';
import type { Sequence } from './sequence.ts';
import { WaitingQueue } from './waiting-queue.ts';

/** What one tenant has: sequences that wait, in their order, and how many run. */
interface Tenant {
  readonly id: number;
  readonly queue: WaitingQueue;
  running: number;
  /** Scratch of `takeInOrder`: its first sequences, how many there are, and how many are taken. */
  readonly heads: Sequence[];
  found: number;
  taken: number;
}

/**
 * Sequences that wait, of several tenants: a place in the batch goes to the tenant with the fewest running sequences, so that
 * tenants with work have equal parts of the batch, and one that comes waits for a single place to become free, however long the
 * queue of another is. Between tenants with equally many the order of the queue decides, as it does within one. An order key
 * (a priority) goes before all of that. With one tenant it is a `WaitingQueue`.
 */
export class TenantQueues {
  private readonly tenants = new Map<number, Tenant>();
  /** Those with sequences that wait. */
  private readonly waiting: Tenant[] = [];
  size = 0;

  has(sequence: Sequence): boolean {
    return this.tenants.get(sequence.request.tenant)?.queue.has(sequence) === true;
  }

  push(sequence: Sequence): void {
    const tenant = this.tenantOf(sequence);
    tenant.queue.push(sequence);
    if (tenant.queue.size === 1) this.waiting.push(tenant);
    this.size++;
  }

  /** Takes out a sequence that waits. */
  remove(sequence: Sequence): void {
    const tenant = this.tenantOf(sequence);
    tenant.queue.remove(sequence);
    this.size--;
    if (tenant.queue.size > 0) return;
    this.waiting.splice(this.waiting.indexOf(tenant), 1);
    this.forget(tenant);
  }

  /** The first in order, or null. */
  peek(): Sequence | null {
    const { waiting } = this;
    if (waiting.length === 0) return null;
    let first = waiting[0]!;
    for (let i = 1; i < waiting.length; i++) {
      const other = waiting[i]!;
      if (goesBefore(other.queue.peek()!, other.running, first.queue.peek()!, first.running)) first = other;
    }
    return first.queue.peek();
  }

  /** Writes the first `count`, in the order in which they would be admitted, to into[0 ..]; returns how many there were. */
  takeInOrder(count: number, into: Sequence[]): number {
    const { waiting } = this;
    if (waiting.length === 1) return waiting[0]!.queue.takeInOrder(count, into);
    for (const tenant of waiting) {
      tenant.found = tenant.queue.takeInOrder(count, tenant.heads);
      tenant.taken = 0;
    }
    const wanted = Math.min(count, this.size);
    for (let i = 0; i < wanted; i++) {
      let first: Tenant | null = null;
      for (const tenant of waiting) {
        if (tenant.taken < tenant.found && (first === null || headGoesBefore(tenant, first))) first = tenant;
      }
      into[i] = first!.heads[first!.taken++]!;
    }
    return wanted;
  }

  /** A sequence has come into the batch. */
  entered(sequence: Sequence): void {
    this.tenantOf(sequence).running++;
  }

  /** A sequence has left the batch. */
  left(sequence: Sequence): void {
    const tenant = this.tenantOf(sequence);
    tenant.running--;
    this.forget(tenant);
  }

  /** Checks the queues, and that the running sequences are counted; throws InvariantError. */
  check(running: readonly Sequence[]): void {
    let size = 0;
    let counted = 0;
    for (const tenant of this.tenants.values()) {
      tenant.queue.check();
      size += tenant.queue.size;
      counted += tenant.running;
      assert(this.waiting.includes(tenant) === tenant.queue.size > 0, 'a tenant with waiting sequences is looked at');
      const runs = running.filter(({ request }) => request.tenant === tenant.id).length;
      assert(tenant.running === runs, 'running sequences of a tenant are counted');
    }
    assert(size === this.size, 'waiting sequences are counted');
    assert(counted === running.length, 'running sequences of a tenant are counted');
  }

  private tenantOf(sequence: Sequence): Tenant {
    const id = sequence.request.tenant;
    let tenant = this.tenants.get(id);
    if (tenant === undefined) {
      tenant = { id, queue: new WaitingQueue(), running: 0, heads: [], found: 0, taken: 0 };
      this.tenants.set(id, tenant);
    }
    return tenant;
  }

  /** One that has nothing left costs nothing; the last one stays, so that a lone tenant is made once. */
  private forget(tenant: Tenant): void {
    if (tenant.running === 0 && tenant.queue.size === 0 && this.tenants.size > 1) this.tenants.delete(tenant.id);
  }
}

function headGoesBefore(a: Tenant, b: Tenant): boolean {
  return goesBefore(a.heads[a.taken]!, a.running + a.taken, b.heads[b.taken]!, b.running + b.taken);
}

function goesBefore(a: Sequence, aRunning: number, b: Sequence, bRunning: number): boolean {
  if (a.orderKey !== b.orderKey) return a.orderKey < b.orderKey;
  if (aRunning !== bRunning) return aRunning < bRunning;
  return a.arrivalOrder < b.arrivalOrder;
}
