import { cpus, loadavg } from 'node:os';
import Table from 'cli-table3';
import { PLAIN_TABLE } from '../src/cli/plain-table.ts';

/** Where and when figures were taken: they mean nothing without it. */
export interface Circumstances {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  /** Runnable processes, averages of 1, 5 and 15 minutes. */
  readonly loadAverage: readonly number[];
}

export function circumstances(): Circumstances {
  const cores = cpus();
  return {
    node: process.version,
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    loadAverage: loadavg().map((load) => Math.round(100 * load) / 100),
  };
}

export function inWords(where: Circumstances): string {
  return `Node ${where.node}, ${where.cores} x ${where.cpu}, load ${where.loadAverage.join(' ')}`;
}

/** A table whose columns behind the first are numbers. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const aligned = head.map((_, i) => (i === 0 ? 'left' : 'right') as 'left' | 'right');
  const text = new Table({ ...PLAIN_TABLE, head: [...head], colAligns: aligned });
  for (const row of rows) text.push([...row]);
  return text.toString();
}

/** Four significant digits at most, no exponent. */
export function short(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
