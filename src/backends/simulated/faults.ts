import { ConfigError, type StepFailure } from '../../core/index.ts';

/** Troubles of one device, as data; times in nanoseconds since the run began, windows are [fromNs, toNs). */
export type DeviceFault =
  /** The step that runs at `atNs`, or the next one when the device is idle, fails. device-lost: and all after it. */
  | { readonly kind: StepFailure; readonly atNs: number; readonly message: string }
  /** Steps that begin in the window take `factor` times as long (thermal throttling, a noisy neighbour). */
  | { readonly kind: 'slow'; readonly fromNs: number; readonly toNs: number; readonly factor: number }
  /** No step ends in the window: what would have ended in it ends with it (a kernel that waits for a lost message). */
  | { readonly kind: 'hang'; readonly fromNs: number; readonly toNs: number }
  /** Every `everyNs` a step fails as `sticky` does (bad memory, hit now and then); an idle device fails once. */
  | {
      readonly kind: 'failing';
      readonly fromNs: number;
      readonly toNs: number;
      readonly everyNs: number;
      readonly message: string;
    }
  /** Drafts are accepted with these probabilities instead of those of the run; see `AcceptanceProcess`. */
  | { readonly kind: 'acceptance'; readonly fromNs: number; readonly toNs: number; readonly rates: readonly number[] }
  /** Telemetry reports these GPUs as unhealthy; null = all of them. */
  | { readonly kind: 'unhealthy'; readonly fromNs: number; readonly toNs: number; readonly gpu: number | null };

/** Of one recurring fault. */
const FAILURES_MAX = 100_000;

type Failure = Extract<DeviceFault, { atNs: number }> & { readonly recurring?: true };
type Failing = Extract<DeviceFault, { kind: 'failing' }>;
type Acceptance = Extract<DeviceFault, { kind: 'acceptance' }>;
type Slow = Extract<DeviceFault, { kind: 'slow' }>;
type Hang = Extract<DeviceFault, { kind: 'hang' }>;
type Unhealthy = Extract<DeviceFault, { kind: 'unhealthy' }>;

/**
 * The faults of one run, asked in order of time. Slow windows that overlap multiply. Holds a cursor: one schedule serves one backend.
 */
export class FaultSchedule {
  /** When the next failure is due; Infinity when none is left. */
  failureDueNs = Number.POSITIVE_INFINITY;
  private readonly failures: Failure[];
  private readonly slows: Slow[];
  private readonly hangs: Hang[];
  private readonly acceptances: Acceptance[];
  private readonly unhealthy: Unhealthy[];
  private failureIndex = 0;
  private lost: Failure | null = null;
  private lostNs: number;
  private factor = 1;
  private factorFromNs = 0;
  private factorUntilNs = 0;

  /** Throws ConfigError that names the fault and its field. */
  constructor(faults: readonly DeviceFault[]) {
    faults.forEach(check);
    const recurring = faults.filter((fault): fault is Failing => fault.kind === 'failing').flatMap(failuresOf);
    this.failures = [...faults.filter(isFailure), ...recurring].sort((a, b) => a.atNs - b.atNs);
    this.slows = faults.filter((fault): fault is Slow => fault.kind === 'slow');
    this.hangs = faults.filter((fault): fault is Hang => fault.kind === 'hang');
    this.acceptances = faults.filter((fault): fault is Acceptance => fault.kind === 'acceptance');
    this.unhealthy = faults.filter((fault): fault is Unhealthy => fault.kind === 'unhealthy');
    this.lostNs = this.failures.find((fault) => fault.kind === 'device-lost')?.atNs ?? Number.POSITIVE_INFINITY;
    this.failureDueNs = this.failures.length === 0 ? Number.POSITIVE_INFINITY : this.failures[0]!.atNs;
  }

  /** Adds a fault to a run that goes on (by hand, on a server); its times lie now or later. Throws ConfigError. */
  add(fault: DeviceFault): void {
    check(fault, this.failures.length + this.slows.length + this.hangs.length + this.unhealthy.length);
    if (fault.kind === 'failing') for (const failure of failuresOf(fault)) this.addFailure(failure);
    else if (fault.kind === 'acceptance') this.acceptances.push(fault);
    else if (fault.kind === 'slow') {
      this.slows.push(fault);
      this.factorUntilNs = 0;
    } else if (fault.kind === 'hang') {
      this.hangs.push(fault);
    } else if (fault.kind === 'unhealthy') {
      this.unhealthy.push(fault);
    } else {
      this.addFailure(fault);
    }
  }

  /** Takes the failure that is due in a step that works from `timeNs` on; a lost device stays lost. */
  takeFailure(timeNs: number): Failure {
    if (this.lost !== null) return this.lost;
    const { failures } = this;
    while (failures[this.failureIndex]!.recurring === true) {
      const following = failures[this.failureIndex + 1];
      if (following?.recurring !== true || following.atNs > timeNs) break;
      this.failureIndex++;
    }
    const failure = this.failures[this.failureIndex++]!;
    if (failure.kind === 'device-lost') this.lost = failure;
    else this.failureDueNs = this.failures[this.failureIndex]?.atNs ?? Number.POSITIVE_INFINITY;
    return failure;
  }

  /** Factor on the duration of a step that begins at `timeNs`. */
  slowFactor(timeNs: number): number {
    if (timeNs < this.factorFromNs || timeNs >= this.factorUntilNs) this.findFactor(timeNs);
    return this.factor;
  }

  /** When a step really ends that would end at `endNs`. */
  endAfterHang(endNs: number): number {
    let end = endNs;
    for (let moved = this.hangs.length > 0; moved; ) {
      moved = false;
      for (const { fromNs, toNs } of this.hangs) {
        if (end < fromNs || end >= toNs) continue;
        end = toNs;
        moved = true;
      }
    }
    return end;
  }

  /** Probabilities at `timeNs` in place of those of the run; null = those of the run. Of several the last one counts. */
  acceptanceRates(timeNs: number): readonly number[] | null {
    let rates: readonly number[] | null = null;
    for (const fault of this.acceptances) if (timeNs >= fault.fromNs && timeNs < fault.toNs) rates = fault.rates;
    return rates;
  }

  healthy(gpu: number, timeNs: number): boolean {
    if (timeNs >= this.lostNs) return false;
    for (const window of this.unhealthy) {
      if ((window.gpu === null || window.gpu === gpu) && timeNs >= window.fromNs && timeNs < window.toNs) return false;
    }
    return true;
  }

  private addFailure(failure: Failure): void {
    let at = this.failures.length;
    while (at > this.failureIndex && this.failures[at - 1]!.atNs > failure.atNs) at--;
    this.failures.splice(at, 0, failure);
    if (failure.kind === 'device-lost') this.lostNs = Math.min(this.lostNs, failure.atNs);
    this.failureDueNs = this.lost === null ? this.failures[this.failureIndex]!.atNs : this.failureDueNs;
  }

  private findFactor(timeNs: number): void {
    this.factor = 1;
    this.factorFromNs = timeNs;
    this.factorUntilNs = Number.POSITIVE_INFINITY;
    for (const window of this.slows) {
      if (timeNs >= window.fromNs && timeNs < window.toNs) this.factor *= window.factor;
      for (const edge of [window.fromNs, window.toNs]) {
        if (edge > timeNs && edge < this.factorUntilNs) this.factorUntilNs = edge;
      }
    }
  }
}

function failuresOf({ fromNs, toNs, everyNs, message }: Failing): Failure[] {
  const count = Math.ceil((toNs - fromNs) / everyNs);
  return Array.from({ length: count }, (_, i) => ({
    kind: 'sticky',
    atNs: fromNs + i * everyNs,
    message,
    recurring: true,
  }));
}

function isFailure(fault: DeviceFault): fault is Failure {
  return fault.kind === 'transient' || fault.kind === 'sticky' || fault.kind === 'device-lost';
}

function check(fault: DeviceFault, index: number): void {
  switch (fault.kind) {
    case 'transient':
    case 'sticky':
    case 'device-lost':
      if (!(fault.atNs >= 0 && Number.isFinite(fault.atNs))) {
        throw new ConfigError(`faults[${index}].atNs`, fault.atNs, 'nanoseconds of at least 0');
      }
      return;
    case 'slow':
      window(fault, index);
      if (!(fault.factor > 0 && Number.isFinite(fault.factor))) {
        throw new ConfigError(`faults[${index}].factor`, fault.factor, 'a number above 0');
      }
      return;
    case 'failing':
      window(fault, index);
      if (!(fault.everyNs > 0 && (fault.toNs - fault.fromNs) / fault.everyNs <= FAILURES_MAX)) {
        throw new ConfigError(`faults[${index}].everyNs`, fault.everyNs, `at most ${FAILURES_MAX} failures in all`);
      }
      return;
    case 'acceptance':
      window(fault, index);
      for (const rate of fault.rates) {
        if (!(rate >= 0 && rate <= 1)) throw new ConfigError(`faults[${index}].rates`, rate, 'probabilities in [0, 1]');
      }
      if (fault.rates.length === 0) throw new ConfigError(`faults[${index}].rates`, '[]', 'at least one probability');
      return;
    case 'hang':
    case 'unhealthy':
      window(fault, index);
      return;
    default: {
      const unknown: never = fault;
      throw new ConfigError(
        `faults[${index}].kind`,
        (unknown as { kind: unknown }).kind,
        'transient, sticky, device-lost, failing, slow, hang, acceptance or unhealthy',
      );
    }
  }
}

function window(fault: { readonly fromNs: number; readonly toNs: number }, index: number): void {
  if (!(fault.fromNs >= 0)) throw new ConfigError(`faults[${index}].fromNs`, fault.fromNs, 'nanoseconds of at least 0');
  if (!(fault.toNs > fault.fromNs)) {
    throw new ConfigError(`faults[${index}].toNs`, fault.toNs, `a time after fromNs (${fault.fromNs})`);
  }
}
