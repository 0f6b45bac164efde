import { describe, expect, it } from 'vitest';
import config from '../../vitest.config.ts';
import { skipNotices } from './say-what-skips.ts';

describe('a run of the tests', () => {
  it('says which folder or program is missing and what skips without it', () => {
    expect(skipNotices({ TWINFER_DATA: '', TWINFER_CONFORMANCE: '/somewhere', TWINFER_MODELS: '/c' })).toEqual([
      'TWINFER_DATA is not set: tests on the public traces skip',
    ]);
    expect(skipNotices({})).toHaveLength(3);
    expect(skipNotices({ TWINFER_DATA: '/a', TWINFER_CONFORMANCE: '/b', TWINFER_MODELS: '/c' })).toEqual([]);
    expect(skipNotices({ TWINFER_DATA: '/a', TWINFER_CONFORMANCE: '/b', TWINFER_MODELS: '/c' }, ['promtool'])).toEqual([
      'promtool is not installed: tests that compare with Prometheus skip',
    ]);
  });

  it('is told so before it begins', () => {
    expect(config.test?.globalSetup).toBe('test/support/say-what-skips.ts');
  });
});
