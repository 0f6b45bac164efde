import { readdirSync } from 'node:fs';
import type { ProcessReading } from '../../observability/index.ts';
import { epochOriginMs, watchGarbageCollections } from '../system-clock.ts';

/** Reads what the process uses, about 0.1 ms a time; counts the garbage collections of this thread in between. */
export class ProcessUsage {
  private readonly startedSeconds = Math.floor(epochOriginMs() / 1000);
  private readonly collections = { minor: 0, major: 0, incremental: 0, weakcb: 0 };
  private gcSeconds = 0;
  private memory = { rss: Number.NaN, heapUsed: Number.NaN };
  private openFds: number | null = null;
  readonly close: () => void;

  constructor() {
    this.close = watchGarbageCollections((kind, ms) => {
      this.collections[kind]++;
      this.gcSeconds += ms / 1000;
    });
  }

  read(): ProcessReading {
    const { user, system } = process.cpuUsage();
    this.readFiles();
    return {
      startedSeconds: this.startedSeconds,
      cpuSeconds: (user + system) / 1e6,
      residentBytes: this.memory.rss,
      heapUsedBytes: this.memory.heapUsed,
      openFds: this.openFds,
      gcSeconds: this.gcSeconds,
      collections: this.collections,
    };
  }

  /** Both are read from files: without a free descriptor the last values stay. Only Linux has the folder. */
  private readFiles(): void {
    try {
      this.memory = process.memoryUsage();
      // One of them is the folder itself.
      this.openFds = readdirSync('/proc/self/fd').length - 1;
    } catch {
      // As before.
    }
  }
}
