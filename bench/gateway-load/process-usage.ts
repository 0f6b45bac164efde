import { readdirSync, readFileSync } from 'node:fs';

/** What a process has used so far. */
export interface ProcessUsage {
  /** User and system time of all its threads, those that have ended included. */
  readonly cpuSeconds: number;
  /** By thread id, those alive; the first thread's id is the process's. */
  readonly threadCpuSeconds: ReadonlyMap<number, number>;
  /** Resident memory. */
  readonly rssBytes: number;
}

/** Kernel ticks in /proc (USER_HZ): 100 on all architectures that Node runs on (proc_pid_stat(5), sysconf(_SC_CLK_TCK)). */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** Reads /proc; throws where there is none or the process is gone. */
export function processUsage(pid: number): ProcessUsage {
  const threads = new Map<number, number>();
  for (const name of readdirSync(`/proc/${pid}/task`)) {
    try {
      threads.set(Number(name), cpuSeconds(`/proc/${pid}/task/${name}/stat`));
    } catch {
      // The thread has ended since the folder was read.
    }
  }
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  return { cpuSeconds: cpuSeconds(`/proc/${pid}/stat`), threadCpuSeconds: threads, rssBytes: pages * PAGE_BYTES };
}

/** Fields 14 and 15 (utime, stime); field 2, a name in parentheses, may hold blanks. */
function cpuSeconds(path: string): number {
  const text = readFileSync(path, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
