import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environmentKeys, keySha256 } from '../../src/config/api-keys.ts';
import { loadServe, parseServe, resolveServe, type ServeOverrides } from '../../src/config/load-serve.ts';
import { isLoopback } from '../../src/config/loopback.ts';
import type { ServeConfig } from '../../src/config/serve-config.ts';
import { serveJsonSchemaText } from '../../src/config/serve-schema.ts';
import { scenarioText } from './scenario-text.ts';

const SHA = keySha256('a-key-for-the-tests');
let folder = '';
let scenario = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinfer-serve-'));
  scenario = join(folder, 'small.yaml');
  writeFileSync(scenario, scenarioText());
  mkdirSync(join(folder, 'model'));
  writeFileSync(join(folder, 'model', 'tokenizer.json'), '{}');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** As if the text stood in a file beside the scenario. */
function resolved(text: string, overrides: ServeOverrides = {}, environment: Record<string, string> = {}): ServeConfig {
  const scenarioPath = (name: string) => (name === 'llama-3.1-8b-h100' ? scenario : name);
  return resolveServe(parseServe(text, join(folder, 'serve.yaml')), overrides, { scenarioPath, environment });
}

function problem(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Error).message.replaceAll(`${folder}/`, '');
  }
  throw new Error('nothing was thrown');
}

describe('a server without configuration', () => {
  it('is closed to others, in real time, with bounds on everything', () => {
    const config = resolved('{}');
    expect(config).toMatchObject({
      backend: 'simulated',
      host: '127.0.0.1',
      port: 8000,
      timeScale: 1,
      modelFolder: null,
      modelNames: ['llama-3.1-8b'],
      keys: [],
      corsOrigins: [],
      logFile: null,
      http: { bodyBytesMax: 4 * 2 ** 20, headersTimeoutMs: 10_000, generationTimeoutMs: null },
      admission: { waitingMax: 1024, queueWaitMaxMs: 10_000, retryAfterMaxMs: 60_000, predictedRequestMs: 5000 },
    });
    expect(config.admission.concurrency).toBe(config.run.engine.sequencesMax);
  });

  it('is what flags alone make too', () => {
    const around = { scenarioPath: () => scenario, environment: {} };
    expect(resolveServe(loadServe(null), { port: 0 }, around).port).toBe(0);
  });
});

describe('what a configuration says', () => {
  it('arrives', () => {
    const config = resolved(`
scenario: small.yaml
time_scale: 0.1
model_folder: model
served_model_names: [gpt-x, alias]
host: "::1"
port: 9000
auth: {keys: [{name: a, sha256: ${SHA.toUpperCase()}, admin: true, limits: {max_concurrency: 3}}]}
limits:
  max_body: 1MiB
  max_waiting: 7
  max_queue_wait: 2500ms
  generation_timeout: 1min
  per_key: {requests_per_minute: 60, tokens_per_minute: 1000}
request: {max_n: 4}
watchdog: {stall: 1s, hang: 2s, restart: 10ms, max_restart: 1s, slow_step: 4}
tokenizer: {threads: 3}
cors_origins: [https://chat.example.org, 'http://Chat.Example.org:80']
allowed_hosts: [LLM.example.org., '[FD00::7]', 10.0.0.7]
log: {level: warn, file: logs/server.log}
metrics: {vllm_aliases: false}
debug: {allocation_log: 9, allocation_stacks: true}
`);
    expect(config).toMatchObject({
      timeScale: 0.1,
      modelFolder: join(folder, 'model'),
      modelNames: ['gpt-x', 'alias'],
      host: '::1',
      port: 9000,
      keys: [{ name: 'a', sha256Hex: SHA, admin: true, limits: { concurrencyMax: 3 } }],
      limits: { waitingMax: 7, perKey: { requestsPerMinute: 60, tokensPerMinute: 1000, concurrencyMax: null } },
      admission: { waitingMax: 7, queueWaitMaxMs: 2500, predictedRequestMs: 500 },
      http: { bodyBytesMax: 2 ** 20, generationTimeoutMs: 60_000 },
      requestLimits: { nMax: 4 },
      watchdog: { stallMs: 1000, hangMs: 2000, restartMs: 10, restartMaxMs: 1000, slowStepFactor: 4 },
      tokenizerThreads: 3,
      corsOrigins: ['https://chat.example.org', 'http://chat.example.org'],
      allowedHosts: ['llm.example.org', 'fd00::7', '10.0.0.7'],
      logLevel: 'warn',
      logFile: join(folder, 'logs/server.log'),
      vllmAliases: false,
      allocationLog: { eventsPerBlock: 9, stacks: true },
    });
    expect(config.keys[0]!.limits).toEqual({ concurrencyMax: 3 });
  });

  it('yields to flags', () => {
    const flags = { host: '127.0.0.2', port: 1, timeScale: 0, logLevel: 'silent', modelNames: ['m'] } as const;
    expect(resolved('{port: 9000, time_scale: 3, log: {level: info}}', flags)).toMatchObject({
      host: '127.0.0.2',
      port: 1,
      timeScale: 0,
      logLevel: 'silent',
      modelNames: ['m'],
    });
  });

  it('is joined by the keys of flags and environment, of which only hashes are kept', () => {
    const config = resolved(
      `auth: {keys: [{name: a, sha256: ${SHA}}]}`,
      { apiKeySha256: [keySha256('flag-key')] },
      { TWINFER_API_KEYS: 'plain-1, plain-2', TWINFER_ADMIN_KEYS: 'plain-3' },
    );
    expect(config.keys.map((key) => [key.name, key.admin])).toEqual([
      ['a', false],
      ['flag-1', false],
      ['env-1', false],
      ['env-2', false],
      ['env-admin-1', true],
    ]);
    expect(config.keys[2]!.sha256Hex).toBe(keySha256('plain-1'));
    expect(JSON.stringify(config)).not.toContain('plain-');
  });
});

describe('a configuration that cannot be', () => {
  it.each([
    ['an unknown key', '{prot: 1}', 'serve.yaml:1:2: prot: unknown key; allowed: $schema, scenario,'],
    [
      'an unknown nested key',
      'limits:\n  max_bodies: 1',
      'serve.yaml:2:3: limits.max_bodies: unknown key; allowed: max_body,',
    ],
    ['a port', 'port: 70000', 'serve.yaml:1:7: port: 70000 is not allowed; allowed: an integer in [0, 65535]'],
    [
      'a duration without unit',
      'limits: {drain_timeout: 5}',
      'limits.drain_timeout: 5 is not allowed; allowed: a number with a unit',
    ],
    [
      'no header timeout',
      'limits: {header_timeout: 0s}',
      'limits.header_timeout: 0s is not allowed; allowed: above 0s and at most 24d',
    ],
    [
      'headers that may take longer than the request',
      'limits: {header_timeout: 40s}',
      'limits.header_timeout: 40s is not allowed; expected: at most request_timeout (30s)',
    ],
    [
      'a timer that would fire at once',
      'limits: {generation_timeout: 30d}',
      'limits.generation_timeout: 30d is not allowed; allowed: at most 24d',
    ],
    ['a body of no bytes', 'limits: {max_body: 0B}', 'limits.max_body: 0B is not allowed; allowed: 1KiB to 1GiB'],
    [
      'a key in plain text',
      'auth: {keys: [{name: a, sha256: secret}]}',
      'allowed: 64 hexadecimal digits, from: printf %s KEY | sha256sum',
    ],
    [
      'a backend that is not built',
      'backend: cuda',
      'serve.yaml:1:10: backend: cuda is not built yet; allowed: simulated',
    ],
    ['a backend that is none', 'backend: tpu', 'backend: "tpu" is not allowed; allowed: simulated, cpu, cuda'],
    [
      'an open door',
      'host: 0.0.0.0',
      'host: 0.0.0.0 without keys is open to others; allowed: a loopback address such as 127.0.0.1, or keys',
    ],
    ['a name for an address', 'host: example.org', 'host: example.org without keys is open to others'],
    ['a folder without tokenizer', 'model_folder: nowhere', 'model_folder: nowhere has no tokenizer.json'],
    ['a port that is none', 'cors_origins: ["http://a:70000"]', 'http://a:70000 is not an origin; expected: a host'],
    [
      'a host with a port',
      'allowed_hosts: ["a:80"]',
      'allowed_hosts[0]: "a:80" is not allowed; allowed: a name or address',
    ],
    ['any origin', 'cors_origins: ["*"]', 'cors_origins[0]: "*" is not allowed; allowed: an origin such as'],
    [
      'a hang before a stall',
      'watchdog: {stall: 10s, hang: 1s}',
      'watchdog.hang: 1s is not allowed; allowed: at least stall (10s)',
    ],
    ['a negative scale', 'time_scale: -1', 'time_scale: -1 is not allowed; allowed: a number in [0, 1000]'],
    ['a scale that is no number', 'time_scale: .nan', 'time_scale:'],
    ['a missing scenario', 'scenario: no/such.yaml', 'no/such.yaml: no such file; allowed: path of a scenario (YAML)'],
    ['a list', '[]', 'serve.yaml:1:1:'],
    ['no YAML', '{', 'serve.yaml:1:2: not YAML:'],
  ])('%s is refused with place, value and what is allowed', (_what, text, message) => {
    expect(problem(() => resolved(text))).toContain(message);
  });

  it('names keys that are there twice', () => {
    const twice = `auth: {keys: [{name: a, sha256: ${SHA}}, {name: b, sha256: ${SHA}}]}`;
    expect(problem(() => resolved(twice))).toContain('auth.keys[1]: b is the same key as a; allowed: each key once');
    const named = `auth: {keys: [{name: a, sha256: ${SHA}}, {name: a, sha256: ${keySha256('x')}}]}`;
    expect(problem(() => resolved(named))).toContain('auth.keys[1]: name a is taken');
  });

  it('never repeats a key of the environment', () => {
    const text = `auth: {keys: [{name: a, sha256: ${keySha256('plain-secret')}}]}`;
    expect(problem(() => resolved(text, {}, { TWINFER_API_KEYS: 'plain-secret' }))).not.toContain('plain-secret');
  });

  it('names a file that is missing', () => {
    expect(problem(() => loadServe(join(folder, 'none.yaml')))).toBe(
      'none.yaml: no such file; allowed: path of a server configuration (YAML)',
    );
  });
});

describe('an address that others can reach', () => {
  it.each([
    ['keys', `{host: 0.0.0.0, auth: {keys: [{name: a, sha256: ${SHA}}]}}`, {}],
    ['keys of the environment', 'host: "::"', { TWINFER_API_KEYS: 'k' }],
    ['a word', '{host: 0.0.0.0, auth: {allow_open: true}}', {}],
  ])('needs %s', (_what, text, environment) => {
    expect(resolved(text, {}, environment as Record<string, string>).host).not.toBe('127.0.0.1');
  });

  it.each([
    ['127.0.0.1', true],
    ['127.1.2.3', true],
    ['::1', true],
    ['localhost', true],
    ['0.0.0.0', false],
    ['::', false],
    ['::ffff:10.0.0.1', false],
    ['128.0.0.1', false],
    ['localhost.example.org', false],
    ['', false],
  ])('%j is loopback: %j', (host, loopback) => {
    expect(isLoopback(host)).toBe(loopback);
  });
});

describe('keys of the environment', () => {
  it('are none without variables', () => {
    expect(environmentKeys({})).toEqual([]);
    expect(environmentKeys({ TWINFER_API_KEYS: ' , ' })).toEqual([]);
  });
});

describe('the published JSON schema of server configurations', () => {
  const published = new URL('../../scenarios/serve.schema.json', import.meta.url);

  it('is what the code checks (else: npx tsx src/config/write-json-schema.ts)', () => {
    expect(JSON.parse(readFileSync(published, 'utf8'))).toEqual(JSON.parse(serveJsonSchemaText()));
  });

  it('describes every field, and no section takes unknown keys', () => {
    const bad: string[] = [];
    const visit = (node: Record<string, unknown>, path: string): void => {
      const properties = (node['properties'] ?? null) as Record<string, Record<string, unknown>> | null;
      if (properties !== null && node['additionalProperties'] !== false) bad.push(`${path} is open`);
      for (const [name, child] of Object.entries(properties ?? {})) {
        if (child['description'] === undefined) bad.push(`${path}.${name} is not described`);
        visit(child, `${path}.${name}`);
      }
      if (node['items'] !== undefined) visit(node['items'] as Record<string, unknown>, `${path}[]`);
    };
    visit(JSON.parse(serveJsonSchemaText()) as Record<string, unknown>, 'serve');
    expect(bad).toEqual([]);
  });
});
