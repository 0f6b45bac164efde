import { generatedWorkload, type WorkloadSpec } from './generated-workload.ts';
import type { Workload, WorkloadRequest } from './workload.ts';

/** Traffic of one kind during one stretch of time. Its arrivals are an open loop, its times count from `fromNs`. */
export interface StreamSpec {
  /** Unlike those of the other streams. */
  readonly name: string;
  readonly fromNs: number;
  readonly spec: WorkloadSpec;
}

const BATCH = 512;

/**
 * Several streams as one workload, in order of arrival; at the same nanosecond in order of the streams. Each draws from the
 * seed and its name alone, so that one more stream leaves the others as they are, and each has a cache salt of its own: no
 * two share any text. At most `requestsMax` requests in all.
 */
export function mixedWorkload(streams: readonly StreamSpec[], requestsMax: number, seed: number | string): Workload {
  return new MixedWorkload(streams, requestsMax, seed);
}

class MixedWorkload implements Workload {
  readonly requestsExpected: number | null;
  readonly durationExpectedNs: number | null;
  private readonly streams: readonly ShiftedStream[];
  private left: number;

  constructor(specs: readonly StreamSpec[], requestsMax: number, seed: number | string) {
    this.streams = specs.map((spec, index) => new ShiftedStream(spec, index, seed));
    this.left = requestsMax;
    const expected = specs.map((_, i) => this.streams[i]!.workload.requestsExpected ?? Number.POSITIVE_INFINITY);
    const requests = Math.min(
      requestsMax,
      expected.reduce((sum, each) => sum + each, 0),
    );
    this.requestsExpected = Number.isFinite(requests) ? requests : null;
    const ends = this.streams.map(({ workload, fromNs }) =>
      workload.durationExpectedNs === null ? Number.POSITIVE_INFINITY : fromNs + workload.durationExpectedNs,
    );
    const endNs = Math.max(...ends);
    this.durationExpectedNs = Number.isFinite(endNs) ? endNs : null;
  }

  next(): WorkloadRequest[] | null {
    const batch: WorkloadRequest[] = [];
    while (batch.length < BATCH && this.left > 0) {
      let first: ShiftedStream | null = null;
      for (const stream of this.streams) if (first === null || stream.nextNs < first.nextNs) first = stream;
      if (first === null || first.nextNs === Number.POSITIVE_INFINITY) break;
      batch.push(first.take());
      this.left--;
    }
    return batch.length > 0 ? batch : null;
  }

  afterFinished(_nowNs: number): null {
    return null;
  }

  close(): void {
    this.left = 0;
  }
}

/** One stream, moved to its time, and its next request. */
class ShiftedStream {
  /** Infinity at the end. */
  nextNs = 0;
  readonly workload: Workload;
  readonly fromNs: number;
  private readonly salt: number;
  private batch: readonly WorkloadRequest[] = [];
  private index = -1;

  constructor({ name, fromNs, spec }: StreamSpec, salt: number, seed: number | string) {
    this.fromNs = fromNs;
    this.salt = salt;
    this.workload = generatedWorkload(spec, `${seed}/${name}`);
    this.advance();
  }

  take(): WorkloadRequest {
    const from = this.batch[this.index]!;
    const request = { ...from, arrivalNs: this.nextNs, cacheSalt: this.salt };
    this.advance();
    return request;
  }

  private advance(): void {
    if (++this.index >= this.batch.length) {
      // Generators never wait for bytes.
      this.batch = (this.workload.next() as WorkloadRequest[] | null) ?? [];
      this.index = 0;
    }
    const next = this.batch[this.index];
    this.nextNs = next === undefined ? Number.POSITIVE_INFINITY : this.fromNs + next.arrivalNs;
  }
}
