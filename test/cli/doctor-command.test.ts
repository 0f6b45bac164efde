import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { Finding } from '../../src/runtime/doctor/finding.ts';
import { capturedCli as cli } from './captured-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'twinfer-doctor-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.unstubAllEnvs());

async function doctor(config: string, ...flags: string[]): Promise<{ code: number; findings: Map<string, Finding> }> {
  const file = join(folder, 'serve.yaml');
  writeFileSync(file, config);
  const { code, stdout } = await cli(['doctor', file, '--json', ...flags]);
  return { code, findings: new Map((JSON.parse(stdout) as Finding[]).map((each) => [each.check, each])) };
}

describe('twinfer doctor', () => {
  it('finds that a server would run, and says what it would be', async () => {
    const { code, stdout } = await cli(['doctor', '--port', '0']);
    expect(code).toBe(0);
    expect(stdout).toContain('llama-3.1-8b on 1 x H100-SXM-80GB');
    expect(stdout).toMatch(/tokenizer\s+│ ok/);
  });

  it('finds a port that is taken, with exit code 1', async () => {
    const other = createServer();
    await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening));
    const { port } = other.address() as AddressInfo;
    const { code, findings } = await doctor(`port: ${port}`);
    other.close();
    expect(code).toBe(1);
    expect(findings.get('port')).toMatchObject({ verdict: 'fail', found: `127.0.0.1:${port}: in use` });
  });

  it('finds what is wrong with a configuration, and looks no further', async () => {
    const { code, findings } = await doctor('time_scale: -1');
    expect(code).toBe(1);
    expect(findings.get('configuration')!.found).toContain('time_scale: -1 is not allowed');
    expect(findings.has('port')).toBe(false);
  });

  it('finds a tokenizer that cannot be read', async () => {
    writeFileSync(join(folder, 'tokenizer.json'), '{"model": 5}');
    const { code, findings } = await doctor(`{port: 0, model_folder: "."}`);
    expect(code).toBe(1);
    expect(findings.get('tokenizer')).toMatchObject({ verdict: 'fail' });
    expect(findings.get('tokenizer')!.found).toContain('model.vocab');
  });

  it('looks at files, keys and the collector', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', 'http://127.0.0.1:9');
    vi.stubEnv('TWINFER_ADMIN_KEYS', 'secret');
    const { code, findings } = await doctor('{port: 0, log: {file: server.log}, record: {file: no/such/folder.jsonl}}');
    expect(code).toBe(1);
    expect(findings.get('log file')!.found).toContain('GiB free');
    expect(findings.get('recording')).toMatchObject({ verdict: 'fail', advice: 'make its folder, or choose another' });
    expect(findings.get('collector')).toMatchObject({ verdict: 'warn', found: '127.0.0.1:9: ECONNREFUSED' });
    expect(findings.get('keys')).toMatchObject({ verdict: 'ok' });
    expect(findings.has('key limits')).toBe(false);
    expect(JSON.stringify([...findings])).not.toContain('secret');
  });

  it('finds keys without limits on an address that others can reach', async () => {
    vi.stubEnv('TWINFER_API_KEYS', 'secret');
    const { code, findings } = await doctor('{port: 0, host: 0.0.0.0}');
    expect(code).toBe(0);
    expect(findings.get('key limits')).toMatchObject({ verdict: 'warn', found: '1 of 1 keys have no limits (env-1)' });
    expect(findings.get('key limits')!.advice).toContain('limits.per_key');
  });

  it('says what is refused without an admin key, and that allowed_hosts has no effect on other addresses', async () => {
    const hosts = 'allowed_hosts: [llm.example.org], log: {level: silent}, port: 0';
    const local = (await doctor(`{${hosts}}`)).findings;
    expect(local.get('keys')!.advice).toContain('/admin is refused');
    expect(local.has('allowed_hosts')).toBe(false);
    const wide = (await doctor(`{${hosts}, host: 0.0.0.0, auth: {allow_open: true}}`)).findings;
    expect(wide.get('keys')!.advice).toContain('/admin and /debug are refused');
    expect(wide.get('allowed_hosts')).toMatchObject({ verdict: 'warn', found: 'has no effect on 0.0.0.0' });
  });
});
