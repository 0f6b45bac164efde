import { openTrace } from '../../replay/open-trace.ts';
import { generatedWorkload } from '../simulation/generated-workload.ts';
import { mixedWorkload } from '../simulation/mixed-workload.ts';
import { uniformSource } from '../simulation/random.ts';
import type { Workload, WorkloadRequest } from '../simulation/workload.ts';
import type { PriorityShare, RunSpec } from './run-spec.ts';

/** The workload of a run: opens its trace, or starts its generator. Throws TraceError or ConfigError. */
export function openWorkload(spec: RunSpec): Workload {
  const { workload, seed } = spec;
  if (workload.kind === 'trace') return openTrace(workload.path, workload.options);
  if (workload.kind === 'mixed') return mixedWorkload(workload.streams, workload.requestsMax, seed);
  const generated = generatedWorkload(workload.spec, seed);
  const [first, ...others] = workload.priorities;
  if (first === undefined || (others.length === 0 && first.priority === workload.spec.priority)) return generated;
  return new PriorityMix(generated, workload.priorities, seed);
}

/** A workload whose requests get priorities by weight, in the order in which they are given out. */
class PriorityMix implements Workload {
  readonly requestsExpected: number | null;
  readonly durationExpectedNs: number | null;
  private readonly workload: Workload;
  private readonly shares: readonly PriorityShare[];
  private readonly sharesTotal: number;
  private readonly uniform: () => number;

  constructor(workload: Workload, shares: readonly PriorityShare[], seed: number) {
    this.workload = workload;
    this.requestsExpected = workload.requestsExpected;
    this.durationExpectedNs = workload.durationExpectedNs;
    this.shares = shares;
    this.sharesTotal = shares.reduce((sum, { share }) => sum + share, 0);
    this.uniform = uniformSource(seed, 'priorities');
  }

  next(): WorkloadRequest[] | null | Promise<WorkloadRequest[] | null> {
    const batch = this.workload.next();
    if (batch === null) return null;
    if (batch instanceof Promise) return batch.then((requests) => requests?.map((each) => this.ranked(each)) ?? null);
    return batch.map((each) => this.ranked(each));
  }

  afterFinished(nowNs: number): WorkloadRequest | null {
    const request = this.workload.afterFinished(nowNs);
    return request === null ? null : this.ranked(request);
  }

  close(): void {
    this.workload.close();
  }

  private ranked(request: WorkloadRequest): WorkloadRequest {
    return { ...request, priority: this.draw() };
  }

  private draw(): number {
    let left = this.uniform() * this.sharesTotal;
    for (const { share, priority } of this.shares) {
      left -= share;
      if (left < 0) return priority;
    }
    return this.shares.at(-1)!.priority;
  }
}
