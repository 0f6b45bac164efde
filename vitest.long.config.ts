import { defineConfig, mergeConfig } from 'vitest/config';
import base from './vitest.config.ts';

/** The second tier, `npm run test:long`: the full numbers of what the first tier checks with a small fixed sample. */
const config = mergeConfig(base, defineConfig({ test: { maxWorkers: 1 } }));
config.test!.include = ['test/**/*.long.ts'];
export default config;
