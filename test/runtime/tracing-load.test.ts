import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { REPOSITORY_ROOT } from '../support/repository-files.ts';

/** Packages of OpenTelemetry that a process has loaded after running `code`. */
function loadedBy(code: string): string[] {
  const script = `
    import { createRequire } from 'node:module';
    ${code}
    const loaded = Object.keys(createRequire(import.meta.url).cache);
    const packages = loaded.flatMap((path) => path.match(/@opentelemetry[/\\\\][\\w-]+/) ?? []);
    console.log(JSON.stringify([...new Set(packages)]));
    process.exit(0);
  `;
  const argv = ['--import', 'tsx', '--input-type=module', '-e', script];
  return JSON.parse(execFileSync(process.execPath, argv, { cwd: REPOSITORY_ROOT, encoding: 'utf8' })) as string[];
}

describe('a server without traces', () => {
  it('loads nothing of OpenTelemetry, one with traces its exporter', () => {
    const serve = "await import('./src/runtime/serve.ts'); await import('./src/cli/run-cli.ts');";
    // The API, a few types and empty functions, comes with prom-client.
    expect(loadedBy(serve).filter((name) => !name.endsWith('/api'))).toEqual([]);
    const traced = `${serve} const { openOtlpExporter } = await import('./src/runtime/tracing/otlp-exporter.ts');
      await openOtlpExporter({ endpoint: 'http://127.0.0.1:1', protocol: 'http/protobuf', origin: () => null });`;
    expect(loadedBy(traced).some((name) => name.endsWith('exporter-trace-otlp-proto'))).toBe(true);
  });
});
