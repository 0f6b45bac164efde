import { describe, expect, it } from 'vitest';
import { EngineRig } from '../support/engine-rig.ts';

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

describe('admission', () => {
  it('a prompt that can never fit is rejected instead of waiting for ever', () => {
    const rig = new EngineRig({ config: { blocksTotal: 8, modelLenMax: 64 } });
    const sequence = rig.submit({ prompt: numbers(30), outputTokensMax: 4 });
    expect(rig.heardOf(sequence).ends).toEqual(['rejected']);
    expect(rig.rejections).toEqual(['never-fits']);
  });

  it('a prompt longer than the model is answered, not dropped', () => {
    const rig = new EngineRig({ config: { modelLenMax: 16 } });
    const sequence = rig.submit({ prompt: numbers(16) });
    expect(rig.heardOf(sequence).ends).toEqual(['rejected']);
    expect(rig.rejections).toEqual(['prompt-too-long']);
  });

  it('a prompt larger than a step is rejected when prompts are not cut', () => {
    const rig = new EngineRig({ config: { chunkedPrefill: false, tokensPerStepMax: 16 } });
    rig.submit({ prompt: numbers(17), outputTokensMax: 1 });
    expect(rig.rejections).toEqual(['prompt-exceeds-step']);
  });

  it('two prompts that do not fit together do not block each other half way', () => {
    const rig = new EngineRig({ config: { capacity: 'reserve-prompt', blocksTotal: 10, tokensPerStepMax: 8 } });
    rig.submit({ prompt: numbers(24), outputTokensMax: 12 });
    rig.submit({ prompt: numbers(24, 100), outputTokensMax: 2 });
    rig.finish();
    expect(rig.preemptions).toHaveLength(0);
  });

  it('the admission latch opens again when blocks return', () => {
    const config = { blocksTotal: 8, capacity: 'as-needed', admissionRetrySteps: 1000, prefixCaching: false } as const;
    const rig = new EngineRig({ config });
    rig.submit({ prompt: [1], outputTokensMax: 12 });
    const first = rig.submit({ prompt: numbers(20), outputTokensMax: 3 });
    const late = rig.submit({ prompt: numbers(16, 100), outputTokensMax: 3 });
    while (first.state !== 'finished') {
      rig.step();
      expect(late.state).toBe('waiting');
    }
    rig.begin();
    expect(late.state).toBe('running');
  });

  it('the admission latch opens again when a fence is lifted', () => {
    const config = {
      blocksTotal: 8,
      capacity: 'as-needed',
      admissionRetrySteps: 1000,
      stepsInFlight: 2,
      prefixCaching: false,
    } as const;
    const rig = new EngineRig({ config });
    rig.submit({ prompt: [1], outputTokensMax: 12 });
    const gone = rig.submit({ prompt: numbers(20), outputTokensMax: 3 });
    const late = rig.submit({ prompt: numbers(16, 100), outputTokensMax: 3 });
    rig.begin();
    rig.engine.abort(gone.request.id);
    rig.begin();
    expect(late.state, 'its blocks are behind the fence of the step in flight').toBe('waiting');
    rig.end();
    rig.begin();
    expect(late.state).toBe('running');
  });

  it('the admission latch opens again for one that first asked while the blocks were fenced', () => {
    const config = { blocksTotal: 8, capacity: 'as-needed', admissionRetrySteps: 1000, stepsInFlight: 2 } as const;
    const rig = new EngineRig({ config: { ...config, prefixCaching: false } });
    rig.submit({ prompt: [1], outputTokensMax: 12 });
    const gone = rig.submit({ prompt: numbers(20), outputTokensMax: 3 });
    rig.begin();
    rig.engine.abort(gone.request.id);
    const late = rig.submit({ prompt: numbers(16, 100), outputTokensMax: 3 });
    rig.begin();
    expect(late.state).toBe('waiting');
    rig.end();
    rig.begin();
    expect(late.state).toBe('running');
  });

  it('a step that preempts admits nobody', () => {
    const config = { stepsInFlight: 1, blocksTotal: 8, tokensPerStepMax: 6, prefixCaching: false } as const;
    const rig = new EngineRig({ profile: 'vllm-v1', config });
    rig.submit({ prompt: numbers(15), outputTokensMax: 12 });
    rig.submit({ prompt: numbers(15, 100), outputTokensMax: 12 });
    while (rig.preemptions.length === 0) rig.step();
    // The first chunk of the victim would fit into what it has just given back.
    expect(rig.admissions).toHaveLength(2);
  });

  it('one large request at the head does not stop the small ones behind it', () => {
    const rig = new EngineRig({ config: { blocksTotal: 8, capacity: 'as-needed', bypassMax: 2, bypassedMax: 5 } });
    rig.submit({ prompt: numbers(20), outputTokensMax: 8 });
    rig.step();
    const head = rig.submit({ prompt: numbers(24, 100), outputTokensMax: 2 });
    const small = rig.submit({ prompt: numbers(3), outputTokensMax: 1 });
    rig.step();
    expect(head.state).toBe('waiting');
    expect(small.finishReason).toBe('length');
  });

  it('a head that does not fit is passed over a bounded number of times', () => {
    const rig = new EngineRig({
      config: { blocksTotal: 8, capacity: 'as-needed', bypassMax: 2, bypassedMax: 3, admissionRetrySteps: 0 },
    });
    rig.submit({ prompt: numbers(20), outputTokensMax: 12 });
    rig.step();
    rig.submit({ prompt: numbers(24, 100), outputTokensMax: 2 });
    for (let i = 0; i < 6; i++) {
      rig.submit({ prompt: numbers(3, 10 * i), outputTokensMax: 1 });
      rig.step();
    }
    expect(rig.admissions).toHaveLength(1 + 3);
  });

  it('those behind the head are passed over a bounded number of times as well', () => {
    const rig = new EngineRig({
      config: { blocksTotal: 8, capacity: 'as-needed', bypassMax: 3, bypassedMax: 3, admissionRetrySteps: 0 },
    });
    rig.submit({ prompt: numbers(20), outputTokensMax: 12 });
    rig.step();
    const head = rig.submit({ prompt: numbers(24, 100), outputTokensMax: 2 });
    rig.submit({ prompt: numbers(24, 200), outputTokensMax: 2 });
    for (let i = 0; i < 8; i++) {
      if (i === 4) rig.engine.abort(head.request.id);
      rig.submit({ prompt: numbers(3, 10 * i), outputTokensMax: 1 });
      rig.step();
    }
    expect(rig.admissions).toHaveLength(1 + 3);
  });

  it('a preemption does not let a sequence be passed over anew', () => {
    const rig = new EngineRig({
      config: {
        blocksTotal: 8,
        capacity: 'as-needed',
        bypassMax: 2,
        bypassedMax: 2,
        admissionRetrySteps: 0,
        prefixCaching: false,
      },
    });
    const small = (from: number) => rig.submit({ prompt: numbers(3, from), outputTokensMax: 1 });
    rig.submit({ prompt: numbers(13), outputTokensMax: 12 });
    const leaves = rig.submit({ prompt: numbers(5, 50), outputTokensMax: 4 });
    rig.step();
    const large = rig.submit({ prompt: numbers(14, 100), outputTokensMax: 4 });
    for (let i = 0; i < 2; i++) {
      small(200 + 10 * i);
      rig.step();
    }
    rig.engine.abort(leaves.request.id);
    rig.step();
    rig.step();
    expect(rig.preemptions.map((preemption) => preemption.victim)).toEqual([large]);
    const behind = small(300);
    rig.step();
    expect({ large: large.state, behind: behind.state }).toEqual({ large: 'waiting', behind: 'waiting' });
  });

  it('a full queue refuses newcomers and keeps who was preempted', () => {
    const rig = new EngineRig({
      profile: 'vllm-v1',
      config: { stepsInFlight: 1, blocksTotal: 8, waitingMax: 2, prefixCaching: false },
    });
    rig.submit({ prompt: numbers(15), outputTokensMax: 12 });
    const victim = rig.submit({ prompt: numbers(15, 100), outputTokensMax: 12 });
    while (rig.preemptions.length === 0) rig.step();
    rig.submit({ prompt: numbers(15, 200), outputTokensMax: 2 });
    rig.submit({ prompt: numbers(15, 300), outputTokensMax: 2 });
    expect(rig.rejections).toEqual(['queue-full']);
    rig.finish();
    expect(rig.heardOf(victim).ends).toEqual(['length']);
  });

  it('who is guaranteed room for its drafts is never evicted for them', () => {
    const speculation = {
      draftTokensMax: 3,
      lookaheadTokens: 0,
      runningOffMin: 9,
      runningOnMax: 9,
      acceptanceOffMax: 0,
      acceptanceOnMin: 0,
      retrySteps: 1,
    };
    const propose = (_: unknown, max: number, into: Int32Array, at: number) => into.fill(1, at, at + max) && max;
    const rig = new EngineRig({
      config: { capacity: 'guaranteed-no-evict', blocksTotal: 4, speculation },
      proposer: { propose },
    });
    rig.submit({ prompt: numbers(5), outputTokensMax: 3 });
    rig.submit({ prompt: numbers(5, 50), outputTokensMax: 3 });
    rig.finish();
    expect(rig.preemptions).toHaveLength(0);
  });
});
