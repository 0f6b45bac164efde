import type { CliStream } from '../../src/cli/cli-io.ts';
import type { SignalSource } from '../../src/cli/interruption.ts';
import { runCli } from '../../src/cli/run-cli.ts';
import type { Simulate } from '../../src/cli/run-twin.ts';
import type { RunSpec } from '../../src/runtime/run-spec.ts';

export interface CapturedRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What the command asked to be simulated; null when it did not come so far. */
  readonly spec: RunSpec | null;
}

/** Runs a command line with captured streams. Without `simulate` a run ends before it begins, with its specification kept. */
export async function capturedCli(
  argv: readonly string[],
  simulate: Simulate | null = null,
  stderrIsTty = false,
  signals: SignalSource | null = null,
): Promise<CapturedRun> {
  let stdout = '';
  let stderr = '';
  let spec: RunSpec | null = null;
  const stream = (write: (text: string) => void, isTTY: boolean): CliStream => ({ write, isTTY, columns: 120 });
  const code = await runCli(
    argv,
    {
      stdout: stream((text) => {
        stdout += text;
      }, false),
      stderr: stream((text) => {
        stderr += text;
      }, stderrIsTty),
      signals,
    },
    async (asked, hooks) => {
      spec = asked;
      if (simulate !== null) return simulate(asked, hooks);
      throw new NotSimulated();
    },
  );
  return { code, stdout, stderr, spec };
}

/** Ends a run whose specification is all that a test wants. */
class NotSimulated extends Error {}
