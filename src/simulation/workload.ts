import { RequestFields, type RequestSpec, type TokenSource } from '../core/index.ts';

/** One request of a workload, before the engine gives it an id. */
export class WorkloadRequest extends RequestFields {
  readonly arrivalNs: number;

  constructor(
    arrivalNs: number,
    prompt: TokenSource,
    outputTokensMax: number,
    rest: Omit<RequestSpec, 'prompt' | 'outputTokensMax'>,
  ) {
    super(prompt, outputTokensMax, rest);
    this.arrivalNs = arrivalNs;
  }
}

/**
 * Where requests come from: a trace or a generator. Batches are in order of arrival and never go back in time; memory does
 * not grow with the length of the workload.
 */
export interface Workload {
  /** Requests known in advance, or null when that is not known (a streamed trace). For progress only. */
  readonly requestsExpected: number | null;
  /** Length in nanoseconds, or null when that is not known. For progress only. */
  readonly durationExpectedNs: number | null;
  /** The next batch, at least one request; null at the end. A promise only where bytes have to be read first. */
  next(): WorkloadRequest[] | null | Promise<WorkloadRequest[] | null>;
  /**
   * Closed loop: told that a request of this workload has ended at `nowNs`; the answer arrives at or after that time.
   * null = nothing more (open-loop workloads always).
   */
  afterFinished(nowNs: number): WorkloadRequest | null;
  /** Releases files. Idempotent. */
  close(): void;
}
