import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    globalSetup: 'test/support/say-what-skips.ts',
    coverage: { include: ['src/**', 'replay/**'], reporter: ['text-summary', 'json'] },
  },
});
