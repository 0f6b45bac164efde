import { defineConfig } from 'vitest/config';
import { LongTests } from './test/support/long-tests.ts';

export default defineConfig({
  // Next to the reporters that the command line names.
  plugins: [
    { name: 'long-tests', configureVitest: ({ vitest }) => void vitest.config.reporters.push(new LongTests()) },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    // None: a busy machine must not fail a test. `.ci/run` ends a run that hangs.
    testTimeout: 0,
    hookTimeout: 0,
    // A collector in a test may answer late.
    env: { OTEL_EXPORTER_OTLP_TIMEOUT: '3600000' },
    maxWorkers: 2,
    globalSetup: 'test/support/say-what-skips.ts',
    coverage: { include: ['src/**', 'replay/**'], reporter: ['text-summary', 'json'] },
  },
});
