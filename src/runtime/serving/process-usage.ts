import { readdirSync } from 'node:fs';
import type { ProcessReading } from '../../observability/index.ts';
import { epochOriginMs, watchGarbageCollections } from '../system-clock.ts';

/** Reads what the process uses, about 0.1 ms a time; counts the garbage collections of this thread in between. */
export class ProcessUsage {
  private readonly startedSeconds = Math.floor(epochOriginMs() / 1000);
  private readonly collections = { minor: 0, major: 0, incremental: 0, weakcb: 0 };
  private gcSeconds = 0;
  readonly close: () => void;

  constructor() {
    this.close = watchGarbageCollections((kind, ms) => {
      this.collections[kind]++;
      this.gcSeconds += ms / 1000;
    });
  }

  read(): ProcessReading {
    const { user, system } = process.cpuUsage();
    const memory = process.memoryUsage();
    return {
      startedSeconds: this.startedSeconds,
      cpuSeconds: (user + system) / 1e6,
      residentBytes: memory.rss,
      heapUsedBytes: memory.heapUsed,
      openFds: openFds(),
      gcSeconds: this.gcSeconds,
      collections: this.collections,
    };
  }
}

/** null where there is no such folder: only Linux has it. */
function openFds(): number | null {
  try {
    // One of them is the folder itself.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return null;
  }
}
