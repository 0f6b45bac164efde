// Preloaded into a server's process (`node --import`): how long the main thread computes between two turns of its event loop, by the
// thread's own CPU time (proc_pid_schedstat(5)), so that a busy machine changes nothing. Answers on the IPC channel.
import { readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** Looks are this far apart at least: CPU time between two looks is that of one turn, and of up to this long before it. */
const LOOK_MS = 1;

if (isMainThread && process.send !== undefined) {
  const cpuNs = () => Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ', 1)[0]);
  let last = cpuNs();
  let worstNs = 0;
  let rssMax = 0;
  setInterval(() => {
    const now = cpuNs();
    if (now - last > worstNs) worstNs = now - last;
    last = now;
  }, LOOK_MS).unref();
  setInterval(() => {
    rssMax = Math.max(rssMax, process.memoryUsage.rss());
  }, 20).unref();
  process.on('message', () => {
    process.send({ worstMs: worstNs / 1e6, rssBytes: Math.max(rssMax, process.memoryUsage.rss()) });
    worstNs = 0;
    rssMax = 0;
    last = cpuNs();
  });
  process.channel.unref();
}
