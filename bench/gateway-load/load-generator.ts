import { build } from 'hdr-histogram-js';
import { type ProcessUsage, processUsage } from './process-usage.ts';
import { type ConnectionListener, jsonRequest, RawConnection } from './raw-connection.ts';

/** What to load a server with; the one argument of the process, as JSON. */
export interface Load {
  readonly port: number;
  /** The server's process, whose CPU time and memory are read. */
  readonly pid: number;
  readonly path: string;
  readonly body: object;
  readonly headers: Readonly<Record<string, string>>;
  /** Each sends its next request when its answer is complete. */
  readonly connections: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Events of a complete answer that are no tokens: role, end, [DONE]. */
  readonly extraEvents: number;
  /** Clock of the machine minus the server's, ns: latencies are taken from the times of steps in the stream. null: none are. */
  readonly clockOffsetNs: number | null;
}

/** Figures of the time between warm-up and end. */
export interface LoadResult {
  readonly seconds: number;
  readonly tokens: number;
  readonly answers: number;
  /** Answers with another status than 200, and connections that broke. */
  readonly failures: number;
  readonly firstFailure: string | null;
  readonly bytesPerToken: number;
  /** Of the server's process. */
  readonly serverCpuSeconds: number;
  readonly serverMainThreadCpuSeconds: number;
  /** The busiest other thread. */
  readonly serverSecondThreadCpuSeconds: number;
  readonly generatorCpuSeconds: number;
  /** Events per read: above 1 the generator, or the machine, lags behind the server. */
  readonly tokensPerRead: number;
  /** From the time in the stream (or, where none is asked for, from request to complete answer) to the read, ms. */
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
  readonly latencyMaxMs: number;
  /** Once a second. */
  readonly rssBytes: readonly number[];
}

const STEP_END = Buffer.from(': step-end ');
const LINE_FEED = 10;
const RETRY_MS = 50;

class Generator implements ConnectionListener {
  private readonly load: Load;
  private readonly request: Buffer;
  /** This process's clock to the server's, ns. */
  private readonly shiftNs: number;
  private readonly sentMs: Float64Array;
  private readonly latencies = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60e6,
    numberOfSignificantValueDigits: 3,
  });
  private measuring = false;
  private ending = false;
  private events = 0;
  private answers = 0;
  private reads = 0;
  private bytes = 0;
  private failures = 0;
  private firstFailure: string | null = null;
  private readonly rssBytes: number[] = [];

  constructor(load: Load) {
    this.load = load;
    this.request = jsonRequest(load.path, load.body, load.headers);
    this.shiftNs = machineOffsetNs() - (load.clockOffsetNs ?? 0);
    this.sentMs = new Float64Array(load.connections);
  }

  start(): void {
    for (let index = 0; index < this.load.connections; index++)
      this.ask(new RawConnection(index, this.load.port, this));
  }

  read(_connection: RawConnection, bytes: Buffer, from: number, to: number, events: number): void {
    if (!this.measuring) return;
    this.events += events;
    this.bytes += to - from;
    this.reads++;
    if (this.load.clockOffsetNs !== null) this.noteStepTimes(bytes, from, to);
  }

  answered(connection: RawConnection): void {
    if (connection.status !== 200) {
      this.fail(`${connection.status} ${connection.errorText.slice(0, 300)}`);
      setTimeout(() => this.ask(connection), RETRY_MS);
      return;
    }
    if (this.measuring) {
      this.answers++;
      if (this.load.clockOffsetNs === null) this.note(1000 * (performance.now() - this.sentMs[connection.index]!));
    }
    this.ask(connection);
  }

  closed(connection: RawConnection, error: Error | null): void {
    if (this.ending) return;
    this.fail(error?.message ?? 'the server closed the connection');
    setTimeout(() => this.ask(new RawConnection(connection.index, this.load.port, this)), RETRY_MS);
  }

  begin(): void {
    this.measuring = true;
    this.failures = 0;
    this.firstFailure = null;
  }

  sampleMemory(): void {
    this.rssBytes.push(processUsage(this.load.pid).rssBytes);
  }

  end(seconds: number, before: ProcessUsage, generatorCpuSeconds: number): LoadResult {
    const after = processUsage(this.load.pid);
    this.ending = true;
    const { load, latencies } = this;
    const others: number[] = [];
    let mainThread = 0;
    for (const [id, cpu] of after.threadCpuSeconds) {
      const used = cpu - (before.threadCpuSeconds.get(id) ?? 0);
      if (id === load.pid) mainThread = used;
      else others.push(used);
    }
    const tokens = Math.max(0, this.events - this.answers * load.extraEvents);
    const count = Math.max(1, tokens);
    return {
      seconds,
      tokens,
      answers: this.answers,
      failures: this.failures,
      firstFailure: this.firstFailure,
      bytesPerToken: this.bytes / count,
      serverCpuSeconds: after.cpuSeconds - before.cpuSeconds,
      serverMainThreadCpuSeconds: mainThread,
      serverSecondThreadCpuSeconds: Math.max(0, ...others),
      generatorCpuSeconds,
      tokensPerRead: tokens / Math.max(1, this.reads),
      latencyP50Ms: latencies.getValueAtPercentile(50) / 1000,
      latencyP99Ms: latencies.getValueAtPercentile(99) / 1000,
      latencyMaxMs: latencies.maxValue / 1000,
      rssBytes: this.rssBytes,
    };
  }

  private ask(connection: RawConnection): void {
    if (this.ending) return;
    this.sentMs[connection.index] = performance.now();
    connection.send(this.request);
  }

  private fail(text: string): void {
    this.failures++;
    this.firstFailure ??= text;
  }

  /** Each write of the server begins with the time of its step; one that is torn between two reads is left out. */
  private noteStepTimes(bytes: Buffer, from: number, to: number): void {
    const nowNs = performance.now() * 1e6 + this.shiftNs;
    let at = bytes.indexOf(STEP_END, from);
    while (at >= 0 && at < to) {
      let timeNs = 0;
      let i = at + STEP_END.length;
      for (; i < to && bytes[i] !== LINE_FEED; i++) timeNs = 10 * timeNs + bytes[i]! - 48;
      if (i < to) this.note((nowNs - timeNs) / 1000);
      at = bytes.indexOf(STEP_END, i);
    }
  }

  private note(latencyUs: number): void {
    this.latencies.recordValue(Math.max(1, Math.min(60e6, Math.round(latencyUs))));
  }
}

/** The machine's monotonic clock minus this process's, ns. */
function machineOffsetNs(): number {
  return Number(process.hrtime.bigint()) - performance.now() * 1e6;
}

function main(load: Load): void {
  const generator = new Generator(load);
  generator.start();
  setTimeout(() => {
    const before = processUsage(load.pid);
    const own = process.cpuUsage();
    const startMs = performance.now();
    generator.begin();
    const memory = setInterval(() => generator.sampleMemory(), 1000);
    setTimeout(() => {
      clearInterval(memory);
      const { user, system } = process.cpuUsage(own);
      const result = generator.end((performance.now() - startMs) / 1000, before, (user + system) / 1e6);
      process.stdout.write(JSON.stringify(result), () => process.exit());
    }, load.durationMs);
  }, load.warmUpMs);
}

main(JSON.parse(process.argv[2]!) as Load);
