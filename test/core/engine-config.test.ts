import { describe, expect, it } from 'vitest';
import { ENGINE_PROFILES, type EngineConfig, engineConfig } from '../../src/core/engine-config.ts';
import { ConfigError } from '../../src/core/errors.ts';

const SPECULATION = {
  draftTokensMax: 4,
  lookaheadTokens: 0,
  runningOffMin: 64,
  runningOnMax: 32,
  acceptanceOffMax: 0.3,
  acceptanceOnMin: 0.4,
  retrySteps: 100,
};

/** Change, field that the error names, and the whole message. */
const BAD: readonly (readonly [Partial<EngineConfig>, string, string])[] = [
  [{ blockSize: 0 }, 'blockSize', 'blockSize: 0 is not allowed; an integer in [1, 4096]'],
  [{ blocksTotal: 1.5 }, 'blocksTotal', 'blocksTotal: 1.5 is not allowed; an integer in [1, 268435456]'],
  [{ hostBlocksTotal: -1 }, 'hostBlocksTotal', 'hostBlocksTotal: -1 is not allowed; an integer in [0, 268435456]'],
  [{ sequencesMax: Number.NaN }, 'sequencesMax', 'sequencesMax: NaN is not allowed; an integer in [1, 65536]'],
  [{ tokensPerStepMax: 0 }, 'tokensPerStepMax', 'tokensPerStepMax: 0 is not allowed; an integer in [1, 16777216]'],
  [{ modelLenMax: 1 }, 'modelLenMax', 'modelLenMax: 1 is not allowed; an integer in [2, 16777216]'],
  [{ stepsInFlight: 3 as 2 }, 'stepsInFlight', 'stepsInFlight: 3 is not allowed; an integer in [1, 2]'],
  [{ watermarkRatio: 1 }, 'watermarkRatio', 'watermarkRatio: 1 is not allowed; a number in [0, 1)'],
  [{ watermarkRatio: Number.NaN }, 'watermarkRatio', 'watermarkRatio: NaN is not allowed; a number in [0, 1)'],
  [{ preemption: 'swap' }, 'hostBlocksTotal', 'hostBlocksTotal: 0 is not allowed; at least 1 with preemption "swap"'],
  [
    { chunkedPrefill: false, tokensPerStepMax: 8, sequencesMax: 16 },
    'tokensPerStepMax',
    'tokensPerStepMax: 8 is not allowed; at least sequencesMax (16) without chunked prefill',
  ],
  [
    { speculation: { ...SPECULATION, draftTokensMax: 0 } },
    'speculation.draftTokensMax',
    'speculation.draftTokensMax: 0 is not allowed; an integer in [1, 128]',
  ],
  [
    { speculation: { ...SPECULATION, runningOnMax: 65 } },
    'speculation.runningOnMax',
    'speculation.runningOnMax: 65 is not allowed; at most runningOffMin (64)',
  ],
  [
    { speculation: { ...SPECULATION, acceptanceOffMax: 0.5 } },
    'speculation.acceptanceOffMax',
    'speculation.acceptanceOffMax: 0.5 is not allowed; at most acceptanceOnMin (0.4)',
  ],
];

describe('engineConfig', () => {
  it.each(BAD)('refuses %j in one line that names field, value and what is allowed', (changes, field, message) => {
    const make = () => engineConfig('twinfer', changes);
    expect(make).toThrow(ConfigError);
    expect(make).toThrow(message);
    expect(message).not.toContain('\n');
    try {
      make();
    } catch (error) {
      expect((error as ConfigError).field).toBe(field);
    }
  });

  it('takes its profiles as they are, frozen', () => {
    for (const profile of ['twinfer', 'vllm-v1'] as const) {
      const config = engineConfig(profile);
      expect(config).toEqual(ENGINE_PROFILES[profile]);
      expect(Object.isFrozen(config)).toBe(true);
    }
  });

  it('keeps the decisions that make vllm-v1 vLLM', () => {
    const { capacity, victim, preemption, bypassMax, partialPrefixHits, siblings, reuseEmptyFirst } =
      engineConfig('vllm-v1');
    expect({ capacity, victim, preemption, bypassMax, partialPrefixHits, siblings, reuseEmptyFirst }).toEqual({
      capacity: 'as-needed',
      victim: 'tail',
      preemption: 'recompute',
      bypassMax: 0,
      partialPrefixHits: false,
      siblings: 'independent',
      reuseEmptyFirst: false,
    });
  });
});
