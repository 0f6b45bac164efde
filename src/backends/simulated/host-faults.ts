import { type Clock, ConfigError, type Engine, PRIORITY, type Task } from '../../core/index.ts';
import { leakBlocks } from './planted-faults.ts';

/** Troubles on the host's side, as data; times in nanoseconds since the run began, windows are [fromNs, toNs). */
export type HostFault =
  /** The scheduler's own work takes `factor` times as long (a noisy neighbour on the host's cores). */
  | { readonly kind: 'slow-host'; readonly fromNs: number; readonly toNs: number; readonly factor: number }
  /** So many KV blocks are taken at `atNs` and never come back. */
  | { readonly kind: 'kv-leak'; readonly atNs: number; readonly blocks: number };

export function isHostFault(fault: { readonly kind: string }): fault is HostFault {
  return fault.kind === 'slow-host' || fault.kind === 'kv-leak';
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
            leakBlocks(engine, fault.blocks);
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
  if (!(fault.factor > 0 && Number.isFinite(fault.factor))) wrong('factor', fault.factor, 'a number above 0');
}
