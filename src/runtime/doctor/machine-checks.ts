import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { epochSeconds, wallNs } from '../system-clock.ts';
import { type Finding, finding } from './finding.ts';

/** What the checks of the machine look at; tests pass other figures. */
export interface Machine {
  readonly nodeVersion: string;
  readonly processors: number;
  readonly memoryAvailableBytes: number;
  readonly memoryTotalBytes: number;
  readonly nowNs: () => number;
  readonly epochSeconds: () => number;
  /** The kernel's source of time; null where it does not tell. */
  readonly clockSource: string | null;
  /** First line of a program's output, or null when it is not there or fails. */
  readonly ask: (program: string, args: readonly string[]) => Promise<string | null>;
  readonly hasNvidiaDevice: boolean;
}

const GIB = 2 ** 30;
const NODE_MIN = [20, 19] as const;
const PROGRAM_MS = 5000;
const EPOCH_2024 = 1_704_067_200;

export function thisMachine(): Machine {
  return {
    nodeVersion: process.versions.node,
    processors: availableParallelism(),
    memoryAvailableBytes: Math.min(freemem(), constrainedBytes()),
    memoryTotalBytes: Math.min(totalmem(), constrainedBytes()),
    nowNs: wallNs,
    epochSeconds,
    clockSource: read('/sys/devices/system/clocksource/clocksource0/current_clocksource'),
    ask: firstLine,
    hasNvidiaDevice: existsSync('/dev/nvidiactl'),
  };
}

export async function machineChecks(machine: Machine): Promise<Finding[]> {
  return [
    nodeCheck(machine),
    processorCheck(machine),
    memoryCheck(machine),
    timeCheck(machine),
    await gpuCheck(machine),
    await prometheusCheck(machine),
  ];
}

function nodeCheck({ nodeVersion }: Machine): Finding {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  const old = major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1]);
  return old
    ? finding('node', 'fail', nodeVersion, `install Node ${NODE_MIN.join('.')} or newer`)
    : finding('node', 'ok', nodeVersion);
}

function processorCheck({ processors }: Machine): Finding {
  const found = `${processors} processor${processors === 1 ? '' : 's'}`;
  return processors < 2
    ? finding('processors', 'warn', found, 'give it 2: gateway and engine are a thread each, and a step waits for both')
    : finding('processors', 'ok', found);
}

function memoryCheck({ memoryAvailableBytes: available, memoryTotalBytes: total }: Machine): Finding {
  const found = `${(available / GIB).toFixed(1)} of ${(total / GIB).toFixed(1)} GiB available`;
  if (available < GIB / 4) return finding('memory', 'fail', found, 'free memory: a server takes some 160 MB at rest');
  if (available < GIB) return finding('memory', 'warn', found, 'free memory: a busy server takes up to 1 GiB');
  return finding('memory', 'ok', found);
}

/** Reads the monotonic clock until it has moved a few times: steps of the simulated device are timed to microseconds. */
function timeCheck({ nowNs, epochSeconds: epoch, clockSource }: Machine): Finding {
  let smallest = Number.POSITIVE_INFINITY;
  let before = nowNs();
  let steps = 0;
  for (let looks = 0; looks < 100_000 && steps < 100; looks++) {
    const now = nowNs();
    if (now < before) return finding('time', 'fail', 'the monotonic clock went back', 'mend the system clock');
    if (now > before) {
      smallest = Math.min(smallest, now - before);
      steps++;
    }
    before = now;
  }
  const source = clockSource === null ? '' : `, source ${clockSource}`;
  const found = steps === 0 ? `the clock stands still${source}` : `resolution ${Math.round(smallest)} ns${source}`;
  if (steps === 0) return finding('time', 'fail', found, 'mend the system clock');
  if (epoch() < EPOCH_2024)
    return finding(
      'time',
      'warn',
      `${found}; the date is wrong`,
      'set the date: logs, traces and metrics are dated by it',
    );
  if (smallest > 10_000) return finding('time', 'warn', found, 'use a finer source of time, such as tsc');
  return finding('time', 'ok', found);
}

async function gpuCheck({ ask, hasNvidiaDevice }: Machine): Promise<Finding> {
  const gpu = await ask('nvidia-smi', ['--query-gpu=name,driver_version', '--format=csv,noheader']);
  if (gpu !== null) return finding('gpu', 'ok', `${gpu}; backend cuda is to come, servers run the simulated one`);
  if (hasNvidiaDevice)
    return finding(
      'gpu',
      'warn',
      'an NVIDIA device without a working nvidia-smi',
      'check the driver: dmesg | grep NVRM',
    );
  return finding('gpu', 'ok', 'none: simulated backend only');
}

async function prometheusCheck({ ask }: Machine): Promise<Finding> {
  const version = (await ask('promtool', ['--version'])) ?? (await ask('prometheus', ['--version']));
  if (version !== null) return finding('prometheus', 'ok', version);
  return finding(
    'prometheus',
    'ok',
    'not here; only twinfer alerts test --prometheus needs it (apt-get install prometheus)',
  );
}

function constrainedBytes(): number {
  const bytes = process.constrainedMemory();
  return bytes > 0 ? bytes : Number.POSITIVE_INFINITY;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

function firstLine(program: string, args: readonly string[]): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(program, [...args], { timeout: PROGRAM_MS }, (error, stdout, stderr) => {
      const line = (stdout.trim() === '' ? stderr : stdout).trim().split('\n', 1)[0]!;
      resolve(error !== null || line === '' ? null : line);
    });
  });
}
