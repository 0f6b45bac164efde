import { type Clock, ConfigError, type Engine, NONE, PRIORITY, type Task } from '../../core/index.ts';
import { leakBlocks } from './planted-faults.ts';

/** Troubles on the host's side, as data; times in nanoseconds since the run began, windows are [fromNs, toNs). */
export type HostFault =
  /** The scheduler's own work takes `factor` times as long (a noisy neighbour on the host's cores). */
  | { readonly kind: 'slow-host'; readonly fromNs: number; readonly toNs: number; readonly factor: number }
  /** So many KV blocks are taken at `atNs` and never come back. */
  | { readonly kind: 'kv-leak'; readonly atNs: number; readonly blocks: number }
  /** The process dies at `fromNs` and serves again from `toNs` on: its requests fail, its memory is new. */
  | { readonly kind: 'process-down'; readonly fromNs: number; readonly toNs: number };

export function isHostFault(fault: { readonly kind: string }): fault is HostFault {
  return fault.kind === 'slow-host' || fault.kind === 'kv-leak' || fault.kind === 'process-down';
}

/** Faults after which the engine's laws no longer hold, since they are what the laws forbid. */
export function breaksLaws(fault: { readonly kind: string }): boolean {
  return fault.kind === 'kv-leak';
}

/** What a slow host slows: see `ModelledHostTimer`. */
export interface SlowedTimer {
  factor: number;
}

/** The host faults of one run, armed on its clock as faults are: they cut runs of steps, so that both sides of a fault are exact. */
export class HostFaults {
  /** Tasks that have not run yet; nothing else needs to happen once only they are left. */
  armed = 0;
  private readonly leaked: number[] = [];

  /** Arms all of them. Throws ConfigError that names the fault and its field. Windows that overlap multiply. */
  constructor(faults: readonly HostFault[], engine: Engine, clock: Clock, timer: SlowedTimer) {
    faults.forEach((fault, index) => {
      check(fault, index);
      switch (fault.kind) {
        case 'slow-host':
          this.arm(clock, fault.fromNs, () => {
            timer.factor *= fault.factor;
          });
          this.arm(clock, fault.toNs, () => {
            timer.factor /= fault.factor;
          });
          return;
        case 'kv-leak':
          this.arm(clock, fault.atNs, () => {
            this.leaked.push(...leakBlocks(engine, fault.blocks));
          });
          return;
        case 'process-down':
          this.arm(clock, fault.fromNs, () => {
            crash(engine);
          });
          this.arm(clock, fault.toNs, () => {
            restart(engine, this.leaked.splice(0));
          });
      }
    });
  }

  private arm(clock: Clock, timeNs: number, work: () => void): void {
    this.armed++;
    const task: Task = {
      run: () => {
        this.armed--;
        work();
      },
    };
    clock.at(timeNs, PRIORITY.fault, task);
  }
}

/** The process dies with everything that it was doing; requests are refused from now on. */
function crash(engine: Engine): void {
  engine.down = true;
  const nowNs = engine.clock.nowNs();
  for (const leader of [...engine.requests.values()]) {
    for (const sibling of leader.siblings ?? []) engine.end(sibling, 'error', nowNs);
    engine.end(leader, 'error', nowNs);
  }
}

/** A new process has a new pool: nothing is cached, and what the old one had leaked is there again. */
function restart(engine: Engine, leaked: readonly number[]): void {
  for (const block of leaked) engine.kv.pool.release(block, NONE, true);
  engine.kv.resetPrefixCache();
  engine.down = false;
}

function check(fault: HostFault, index: number): void {
  const wrong = (field: string, value: unknown, allowed: string) => {
    throw new ConfigError(`faults[${index}].${field}`, value, allowed);
  };
  if (fault.kind === 'kv-leak') {
    if (!(fault.atNs >= 0)) wrong('atNs', fault.atNs, 'nanoseconds of at least 0');
    if (!(Number.isInteger(fault.blocks) && fault.blocks > 0)) wrong('blocks', fault.blocks, 'a whole number above 0');
    return;
  }
  if (!(fault.fromNs >= 0)) wrong('fromNs', fault.fromNs, 'nanoseconds of at least 0');
  if (!(fault.toNs > fault.fromNs)) wrong('toNs', fault.toNs, `a time after fromNs (${fault.fromNs})`);
  if (fault.kind === 'slow-host' && !(fault.factor > 0 && Number.isFinite(fault.factor)))
    wrong('factor', fault.factor, 'a number above 0');
}
