import { Command } from 'commander';
import { loadServe, resolveServe, unlimitedKeys } from '../config/load-serve.ts';
import type { KeyLimitsConfig, LogLevel, ServeConfig } from '../config/serve-config.ts';
import { InputError } from '../runtime/input-error.ts';
import { scenarioPath } from './bundled-scenarios.ts';
import { UsageError } from './exit-codes.ts';
import { SIGNAL_EXITS, type Signal, type SignalSource } from './interruption.ts';
import { choiceFlag, integerRange, numberFlag } from './number-flags.ts';
import type { CliContext } from './run-twin.ts';
import { serveBanner } from './serve-banner.ts';

/** A server that takes requests. */
export interface RunningServer {
  readonly url: string;
  /** Name of the tokenizer in use. */
  readonly tokenizer: string;
  /** Resolves when the server is down. */
  readonly closed: Promise<void>;
  /** Lets running requests end for the drain time, then ends the rest. */
  stop(reason: string): Promise<void>;
}

/** Starts a server: `startServing` of the runtime, or a test's own. */
export type Serve = (config: ServeConfig) => Promise<RunningServer>;

interface ServeOptions {
  readonly scenario?: string;
  readonly modelFolder?: string;
  readonly servedModelName?: readonly string[];
  readonly host?: string;
  readonly port?: number;
  readonly timeScale?: number;
  readonly backend?: ServeConfig['backend'];
  readonly apiKeySha256?: readonly string[];
  readonly keyLimits?: Partial<KeyLimitsConfig>;
  readonly logLevel?: LogLevel;
  readonly record?: string;
}

/** `twinfer serve [CONFIG]`: an OpenAI-compatible server, until a signal ends it. */
export function serveCommand(context: CliContext, serve: Serve): Command {
  return serveFlags(
    new Command('serve')
      .description('Serve the OpenAI API with the timing of a simulated device')
      .argument('[config]', 'server configuration (YAML)'),
  )
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer serve
  $ twinfer serve --scenario llama-3.1-8b-h100 --model-folder models/smollm2-135m-instruct --time-scale 0.1
  $ twinfer serve --record out/serve.jsonl
  $ twinfer serve serve.yaml --host 0.0.0.0 --api-key-sha256 $(printf %s "$KEY" | sha256sum | cut -d ' ' -f 1)

Keys may also come from the environment: TWINFER_API_KEYS and TWINFER_ADMIN_KEYS, in plain text, separated by commas.
SIGTERM or SIGINT: no new requests, running ones get limits.drain_timeout; a second one ends the server at once.
Exit codes: 0 stopped in order; 2 bad configuration or an address that cannot be used; 3 a bug in Twinfer.`,
    )
    .action(async (file: string | undefined, options: ServeOptions) => {
      const config = resolveServe(loadServe(file ?? null), overridesOf(options), { scenarioPath });
      const server = await started(serve, config);
      context.io.stdout.write(serveBanner(config, server));
      const unlimited = unlimitedKeys(config);
      if (unlimited !== null) context.io.stderr.write(`warning: ${unlimited}\n`);
      await served(server, context.io.signals);
    });
}

function serveFlags(command: Command): Command {
  const port = numberFlag('--port', integerRange(0, 65_535));
  const timeScale = numberFlag('--time-scale', { min: 0, max: 1000, integer: false, words: 'a number in [0, 1000]' });
  const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
  return command
    .option('--scenario <file>', 'scenario with model, device and engine: a path, or the name of a bundled one')
    .option('--model-folder <folder>', 'folder with tokenizer.json; without it a byte tokenizer')
    .option('--served-model-name <name>', 'name that requests may use, repeatable; the first is in responses', nameFlag)
    .option('--host <address>', 'address to listen on (127.0.0.1)')
    .option('--port <number>', 'port; 0 = a free one (8000)', port)
    .option('--time-scale <factor>', 'wall time per simulated time: 0.1 = ten times faster, 0 = no waiting', timeScale)
    .option('--backend <name>', 'what runs the steps: simulated', backendFlag)
    .option('--api-key-sha256 <hex>', 'SHA-256 of a key that is taken, repeatable; see twinfer hash-key', keyFlag)
    .option(
      '--key-limits <list>',
      'limits of every key: requests_per_minute=600,tokens_per_minute=100000,max_concurrency=32, or some of them',
      keyLimitsFlag,
    )
    .option(
      '--record <file>',
      'append the metrics to a file, a sample each 15 s; see record in the configuration',
      recordFlag,
    )
    .option('--log-level <level>', `least severe log lines: ${levels.join(', ')}`, choiceFlag('--log-level', levels));
}

function backendFlag(text: string): ServeConfig['backend'] {
  if (text === 'cpu' || text === 'cuda') {
    throw new UsageError(`--backend: ${JSON.stringify(text)} is not built yet; allowed: simulated`);
  }
  return choiceFlag('--backend', ['simulated'])(text);
}

function nameFlag(text: string, before: readonly string[] = []): readonly string[] {
  if (text === '' || text.length > 256) throw new UsageError('--served-model-name: allowed: 1 to 256 characters');
  return [...before, text];
}

function recordFlag(text: string): string {
  if (text === '' || text.endsWith('.gz')) {
    throw new UsageError(`--record: ${JSON.stringify(text)} is not allowed; allowed: a name that does not end in .gz`);
  }
  return text;
}

function keyFlag(text: string, before: readonly string[] = []): readonly string[] {
  // A value that is no digest may be a key in plain text: it is not repeated.
  if (!/^[0-9a-fA-F]{64}$/.test(text)) {
    throw new UsageError('--api-key-sha256: allowed: 64 hexadecimal digits, from: twinfer hash-key');
  }
  return [...before, text];
}

const KEY_LIMITS = {
  requests_per_minute: 'requestsPerMinute',
  tokens_per_minute: 'tokensPerMinute',
  max_concurrency: 'concurrencyMax',
} as const;

function keyLimitsFlag(text: string): Partial<KeyLimitsConfig> {
  const limits: Partial<Record<keyof KeyLimitsConfig, number>> = {};
  for (const part of text.split(',')) {
    const [, name = '', digits = ''] = /^([a-z_]+)=([1-9]\d{0,11})$/.exec(part) ?? [];
    if (!Object.hasOwn(KEY_LIMITS, name)) {
      const names = Object.keys(KEY_LIMITS).join(', ');
      throw new UsageError(
        `--key-limits: ${JSON.stringify(part)} is not a limit; expected: NAME=NUMBER with a whole number of at least 1, NAME one of ${names}`,
      );
    }
    limits[KEY_LIMITS[name as keyof typeof KEY_LIMITS]] = Number(digits);
  }
  return limits;
}

function overridesOf(options: ServeOptions) {
  const { servedModelName: modelNames, ...rest } = options;
  return { ...rest, modelNames };
}

/** What the system says of an address that cannot be used. */
const ADDRESS_PROBLEMS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use; allowed: a free port, or 0 for any',
  EACCES: 'is not permitted; allowed: a port above 1023',
  EADDRNOTAVAIL: 'is no address of this machine',
  ENOTFOUND: 'is no known host',
  EAI_AGAIN: 'cannot be looked up',
};

async function started(serve: Serve, config: ServeConfig): Promise<RunningServer> {
  try {
    return await serve(config);
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    const problem = code === undefined ? undefined : ADDRESS_PROBLEMS[code];
    if (problem === undefined || (syscall !== 'listen' && syscall !== 'bind' && syscall !== 'getaddrinfo')) throw error;
    throw new InputError(`address ${config.host}:${config.port} ${problem}`);
  }
}

/**
 * Resolves when the server is down. The first signal drains it; both listeners go with it, so that a second signal has its
 * default effect and ends the process at once.
 */
async function served(server: RunningServer, signals: SignalSource | null): Promise<void> {
  const names = Object.keys(SIGNAL_EXITS) as Signal[];
  let failed: (error: unknown) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    failed = reject;
  });
  const stop = (signal: Signal): void => {
    for (const name of names) signals?.off(name, stop);
    server.stop(signal).catch(failed);
  };
  for (const name of names) signals?.once(name, stop);
  try {
    await Promise.race([server.closed, failure]);
  } finally {
    for (const name of names) signals?.off(name, stop);
  }
}
