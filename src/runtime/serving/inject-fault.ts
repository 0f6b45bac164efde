import {
  type FaultSchedule,
  HostFaults,
  leakBlocks,
  miscountReference,
  type SlowedTimer,
} from '../../backends/simulated/index.ts';
import { type Engine, NONE, PRIORITY, type VirtualClock } from '../../core/index.ts';
import type { InjectedFault, PlantedFault } from '../../gateway/engine-link.ts';

/** What faults of a running server are done to. */
export interface FaultTargets {
  readonly engine: Engine;
  readonly clock: VirtualClock;
  readonly schedule: FaultSchedule;
  readonly timer: SlowedTimer;
  /** Wall nanoseconds as engine time. */
  readonly engineNs: (wallNs: number) => number;
  /** Stops the engine's thread for so long. */
  readonly hangThread: (wallNs: number) => void;
}

/** Makes a fault of the world happen now. Says what was planted where it can be planted in somebody's name. */
export function injectFault(fault: InjectedFault, targets: FaultTargets): PlantedFault | null {
  const { engine, clock, schedule, timer, engineNs } = targets;
  const nowNs = clock.nowNs();
  const request = engine.scheduler.running[0]?.request.id ?? null;
  const window = (seconds: number) => ({ fromNs: nowNs, toNs: nowNs + Math.max(1, engineNs(seconds * 1e9)) });
  switch (fault.kind) {
    case 'leak-blocks':
      return { blocks: leakBlocks(engine, fault.blocks).length, request };
    case 'wrong-reference':
      if (miscountReference(engine) === NONE) throw new RangeError('nothing runs whose block could be miscounted');
      return { blocks: 1, request };
    case 'hang-thread':
      targets.hangThread(fault.seconds * 1e9);
      return null;
    case 'slow-host':
      new HostFaults([{ kind: 'slow-host', ...window(fault.seconds), factor: fault.factor }], engine, clock, timer);
      return null;
    case 'slow':
      schedule.add({ kind: 'slow', ...window(fault.seconds), factor: fault.factor });
      return null;
    case 'hang':
      schedule.add({ kind: 'hang', ...window(fault.seconds) });
      return null;
    case 'unhealthy': {
      const { fromNs, toNs } = window(fault.seconds);
      schedule.add({ kind: 'unhealthy', fromNs, toNs, gpu: null });
      // The clock goes on to its end, also where nothing else is due.
      clock.at(toNs, PRIORITY.fault, { run: () => {} });
      return null;
    }
    default:
      schedule.add({ kind: fault.kind, atNs: nowNs, message: `injected: ${fault.kind}` });
      return null;
  }
}
