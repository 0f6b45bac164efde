import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Starts `name` (without extension) beside the calling module as a thread. From source, where the module is TypeScript, the thread
 * registers tsx first: Node 20 does not apply --import to the entry of a thread.
 */
export function startThread(name: string, beside: string, options: WorkerOptions): Worker {
  if (!beside.endsWith('.ts')) return new Worker(new URL(`./${name}.js`, beside), options);
  const entry = JSON.stringify(new URL(`./${name}.ts`, beside).href);
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  return new Worker(`import(${tsx}).then(({ register }) => { register(); return import(${entry}); });`, {
    ...options,
    eval: true,
  });
}
