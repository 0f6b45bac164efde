import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { hashKeyCommand } from '../../src/cli/hash-key-command.ts';
import type { Signal, SignalSource } from '../../src/cli/interruption.ts';
import { runCli } from '../../src/cli/run-cli.ts';
import type { CliContext } from '../../src/cli/run-twin.ts';
import type { RunningServer, Serve } from '../../src/cli/serve-command.ts';
import { keySha256 } from '../../src/config/api-keys.ts';
import type { ServeConfig } from '../../src/config/serve-config.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinfer-serve-'));
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

/** A process that is sent signals. */
class Signals implements SignalSource {
  readonly listeners = new Map<Signal, (signal: Signal) => void>();
  once(signal: Signal, listener: (signal: Signal) => void): void {
    this.listeners.set(signal, listener);
  }
  off(signal: Signal): void {
    this.listeners.delete(signal);
  }
  /** What a process does without a listener: it ends. */
  send(signal: Signal): 'handled' | 'killed' {
    const listener = this.listeners.get(signal);
    this.listeners.delete(signal);
    listener?.(signal);
    return listener === undefined ? 'killed' : 'handled';
  }
}

/** A server that goes down when it is stopped and its requests have ended. */
class Server implements RunningServer {
  readonly url = 'http://127.0.0.1:8000';
  readonly tokenizer = 'bytes';
  readonly reasons: string[] = [];
  readonly closed: Promise<void>;
  down: () => void = () => {};
  constructor() {
    this.closed = new Promise((resolve) => {
      this.down = resolve;
    });
  }
  async stop(reason: string): Promise<void> {
    this.reasons.push(reason);
  }
}

async function serving(
  argv: readonly string[],
  run: (server: Server, signals: Signals, out: () => string) => unknown = (server) => server.down(),
) {
  let stdout = '';
  let stderr = '';
  let config: ServeConfig | null = null;
  const server = new Server();
  const signals = new Signals();
  const serve: Serve = async (asked) => {
    config = asked;
    queueMicrotask(() => setImmediate(() => run(server, signals, () => stdout)));
    return server;
  };
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    signals,
  };
  const code = await runCli(['serve', ...argv], io, () => Promise.reject(new Error('nothing is simulated')), serve);
  return { code, stdout, stderr, config: config as ServeConfig | null, server, signals };
}

describe('twinfer serve', () => {
  it('says where and what it serves, with a line to paste', async () => {
    const { code, stdout, stderr } = await serving(['--time-scale', '0.1', '--served-model-name', "it's"]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/url +http:\/\/127\.0\.0\.1:8000\/v1\n/);
    expect(stdout).toMatch(/backend +simulated, 1 x H100-SXM-80GB, scenario llama-3\.1-8b-h100\n/);
    expect(stdout).toMatch(/time +10 times faster \(scale 0\.1\)\n/);
    expect(stdout).toMatch(/tokenizer +bytes\n/);
    expect(stdout).toContain(
      `curl -N http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' -d '{"model":"it'\\''s",`,
    );
  });

  it('takes flags over the file, and both over defaults', async () => {
    const file = join(folder, 'serve.yaml');
    writeFileSync(file, 'port: 9000\ntime_scale: 2\n');
    const sha256 = keySha256('k');
    const { config } = await serving([
      '--port',
      '0',
      '--api-key-sha256',
      sha256,
      '--api-key-sha256',
      keySha256('l'),
      file,
      '--log-level',
      'error',
    ]);
    expect(config).toMatchObject({ port: 0, timeScale: 2, host: '127.0.0.1', logLevel: 'error' });
    expect(config!.keys.map((key) => key.sha256Hex)).toEqual([sha256, keySha256('l')]);
  });

  it('asks for the key in its line, and never shows one', async () => {
    vi.stubEnv('TWINFER_API_KEYS', 'plain-text-key');
    const { stdout, stderr } = await serving([]);
    expect(stdout).toContain('-H "authorization: Bearer $KEY"');
    expect(stdout).toMatch(/keys +1, of these for \/admin: 0\n/);
    expect(stdout + stderr).not.toContain('plain-text-key');
  });

  it('sets the limits of all keys by one flag, and says so where keys have none on an address that others reach', async () => {
    vi.stubEnv('TWINFER_API_KEYS', 'one,two');
    vi.stubEnv('TWINFER_ADMIN_KEYS', 'three');
    const shared = ['--host', '0.0.0.0'];
    const open = await serving(shared);
    expect(open.stderr).toMatch(
      /^warning: 2 of 3 keys have no limits \(env-1, env-2\): limits\.per_key or --key-limits /,
    );
    expect((await serving([])).stderr).toBe('');
    const limited = await serving([...shared, '--key-limits', 'requests_per_minute=600,max_concurrency=32']);
    expect(limited.stderr).toBe('');
    expect(limited.config!.limits.perKey).toEqual({
      requestsPerMinute: 600,
      tokensPerMinute: null,
      concurrencyMax: 32,
    });
    const file = join(folder, 'limits.yaml');
    writeFileSync(file, 'limits: { per_key: { tokens_per_minute: 100000 } }\n');
    expect((await serving([...shared, file])).stderr).toBe('');
    vi.unstubAllEnvs();
    writeFileSync(file, 'auth: { allow_open: true }\n');
    expect((await serving([...shared, file])).stderr).toMatch(/^warning: clients without a key have no limits: /);
    for (const wrong of ['', 'rpm=5', 'max_concurrency=0', 'max_concurrency=1.5', 'max_concurrency=1,']) {
      const { code, stderr } = await serving(['--key-limits', wrong]);
      expect([code, stderr]).toEqual([2, expect.stringMatching(/--key-limits: .* expected: NAME=NUMBER/)]);
    }
  });

  it('drains on the first signal and leaves the second to end the process', async () => {
    let second: string | null = null;
    const { code, server, signals } = await serving([], (running, sent) => {
      sent.send('SIGTERM');
      second = sent.send('SIGINT');
      running.down();
    });
    expect([code, second, server.reasons]).toEqual([0, 'killed', ['SIGTERM']]);
    expect(signals.listeners.size).toBe(0);
  });

  it('does not end before its server is down', async () => {
    const order: string[] = [];
    await serving([], (running, sent) => {
      sent.send('SIGINT');
      setImmediate(() => {
        order.push('down');
        running.down();
      });
    }).then(() => order.push('ended'));
    expect(order).toEqual(['down', 'ended']);
  });

  it.each([
    ['a port', ['--port', '99999'], '--port: "99999" is not allowed; allowed: an integer in [0, 65535]'],
    ['a scale', ['--time-scale', 'fast'], '--time-scale: "fast" is not allowed; allowed: a number in [0, 1000]'],
    [
      'a level',
      ['--log-level', 'loud'],
      '--log-level: "loud" is not allowed; allowed: debug, info, warn, error, silent',
    ],
    ['a backend to come', ['--backend', 'cuda'], '--backend: "cuda" is not built yet; allowed: simulated'],
    ['an open door', ['--host', '0.0.0.0'], 'host: 0.0.0.0 without keys is open to others'],
    ['a folder', ['--model-folder', '/no/model'], 'model_folder: /no/model has no tokenizer.json'],
    ['a scenario', ['--scenario', 'nothing'], 'nothing: no such file; allowed: path of a scenario (YAML), or one of'],
    ['a configuration', ['no.yaml'], 'no.yaml: no such file; allowed: path of a server configuration (YAML)'],
  ])('refuses %s in one line, exit code 2', async (_what, argv, message) => {
    const { code, stdout, stderr } = await serving(argv);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split('\n').length).toBe(1);
  });

  it('does not repeat a key that was given where its hash belongs', async () => {
    const { code, stderr } = await serving(['--api-key-sha256', 'my-secret-key']);
    expect(code).toBe(2);
    expect(stderr).not.toContain('my-secret-key');
  });

  it.each([
    ['EADDRINUSE', 'address 127.0.0.1:8000 is in use; allowed: a free port, or 0 for any\n'],
    ['EACCES', 'address 127.0.0.1:8000 is not permitted; allowed: a port above 1023\n'],
  ])('names an address that cannot be used (%s), exit code 2', async (code, message) => {
    let stderr = '';
    const io = { stdout: { write: () => 0 }, stderr: { write: (text: string) => (stderr += text) }, signals: null };
    const taken = Object.assign(new Error(code), { code, syscall: 'listen' });
    const exit = await runCli(
      ['serve'],
      io,
      () => Promise.reject(taken),
      () => Promise.reject(taken),
    );
    expect([exit, stderr]).toEqual([2, message]);
  });
});

describe('twinfer hash-key', () => {
  async function hashed(text: string): Promise<{ stdout: string; stderr: string; error: string | null }> {
    let stdout = '';
    let stderr = '';
    const io = {
      stdout: { write: (part: string) => (stdout += part) },
      stderr: { write: (part: string) => (stderr += part) },
      signals: null,
    };
    const context = { io } as Pick<CliContext, 'io'> as CliContext;
    try {
      await hashKeyCommand(context, async () => text).parseAsync([], { from: 'user' });
      return { stdout, stderr, error: null };
    } catch (error) {
      return { stdout, stderr, error: (error as Error).message };
    }
  }

  it('prints the SHA-256 that sha256sum prints, without the newline of the file', async () => {
    // printf %s abc | sha256sum (FIPS 180-4, the example of one block)
    const sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n';
    expect((await hashed('abc')).stdout).toBe(sha256);
    expect((await hashed('abc\n')).stdout).toBe(sha256);
    expect((await hashed('abc\r\n')).stdout).toBe(sha256);
  });

  it('warns of short keys only', async () => {
    expect((await hashed('abc')).stderr).toContain('can be guessed');
    expect((await hashed('x'.repeat(20))).stderr).toBe('');
  });

  it.each(['', '\n', 'two words', 'two\nlines', 'schlüssel'])('refuses %j and does not repeat it', async (text) => {
    const { stdout, error } = await hashed(text);
    expect(stdout).toBe('');
    expect(error).toBe('key on standard input: allowed: visible ASCII characters without spaces, on one line');
  });
});
