import { Command, CommanderError } from 'commander';
import { packageVersion } from '../runtime/package-folder.ts';
import { alertsCommand } from './alerts-command.ts';
import { alertsTestCommand } from './alerts-test-command.ts';
import { calibrateCommand } from './calibrate-command.ts';
import { calibrateHostCommand } from './calibrate-host-command.ts';
import type { CliIo } from './cli-io.ts';
import { dashboardCommand } from './dashboard-command.ts';
import { doctorCommand } from './doctor-command.ts';
import { EXIT, type ExitCode, exitOf } from './exit-codes.ts';
import { explainCommand } from './explain-command.ts';
import { generateCommand } from './generate-command.ts';
import { hashKeyCommand } from './hash-key-command.ts';
import { replayCommand } from './replay-command.ts';
import type { CliContext, Simulate } from './run-twin.ts';
import { saturateCommand } from './saturate-command.ts';
import { scenariosCommand } from './scenarios-command.ts';
import { type Serve, serveCommand } from './serve-command.ts';
import { simulateCommand } from './simulate-command.ts';
import { validateCommand } from './validate-command.ts';
import { validateScenarioCommand } from './validate-scenario-command.ts';

/**
 * The whole command line as a function: `argv` without interpreter and script, the exit code as the value. Ends no process,
 * so that tests and other programs may call it.
 */
export async function runCli(
  argv: readonly string[],
  io: CliIo,
  simulate: Simulate,
  serve: Serve = servedHere,
): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  let seed: number | null = null;
  const context: CliContext = {
    io,
    simulate,
    command: commandText(argv),
    exit: (asked) => {
      if (asked > code) code = asked;
    },
    running: (spec) => {
      seed = spec.seed;
    },
  };
  try {
    await program(context, serve).parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    return report(error, argv, seed, io);
  }
}

function report(error: unknown, argv: readonly string[], seed: number | null, io: CliIo): ExitCode {
  const { code, message } = exitOf(error);
  if (error instanceof CommanderError) return code;
  io.stderr.write(`${message}\n`);
  if (code === EXIT.internal) {
    const withSeed = seed === null ? '' : ` with seed ${seed}`;
    io.stderr.write(`this is a bug in Twinfer; to repeat it${withSeed}: ${commandText(argv)}\n`);
  }
  return code;
}

/** Loaded when asked for: other commands need no HTTP server. */
const servedHere: Serve = async (config) => (await import('../runtime/serve.ts')).startServing(config);

function program(context: CliContext, serve: Serve): Command {
  const root = new Command('twinfer')
    .description('An LLM inference server that is its own digital twin')
    .version(packageVersion(), '--version', 'print the version')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer serve
  $ twinfer simulate llama-3.1-8b-h100
  $ twinfer replay trace.csv --scenario llama-3.1-8b-h100 --out out/report

Exit codes: 0 done; 1 a target was missed (--fail-on-targets) or a verification found a difference;
2 bad input; 3 a bug in Twinfer; 130 interrupted.`,
    );
  const commands = [
    serveCommand(context, serve),
    doctorCommand(context),
    simulateCommand(context),
    replayCommand(context),
    saturateCommand(context),
    generateCommand(context),
    explainCommand(context),
    scenariosCommand(context),
    validateScenarioCommand(context),
    calibrateCommand(context),
    calibrateHostCommand(context),
    validateCommand(context),
    dashboardCommand(context),
    hashKeyCommand(context),
    alertsCommand(context, [alertsTestCommand(context)]),
  ];
  for (const command of commands) root.addCommand(command);
  for (const command of [root, ...commands, ...commands.flatMap((each) => each.commands)]) {
    command.exitOverride().configureOutput({
      writeOut: (text: string) => context.io.stdout.write(text),
      writeErr: (text: string) => context.io.stderr.write(text),
      outputError: (text: string, write: (text: string) => void) =>
        write(
          `${text
            .replace(/^error: /, '')
            .trim()
            .replaceAll('\n', ' ')}\n`,
        ),
    });
  }
  return root;
}

function commandText(argv: readonly string[]): string {
  return ['twinfer', ...argv.map(shellWord)].join(' ');
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
