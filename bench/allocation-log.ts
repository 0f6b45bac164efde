import {
  catalogueModel,
  H100_SXM,
  ModelledHostTimer,
  RooflineTimingModel,
  SimulatedBackend,
} from '../src/backends/simulated/index.ts';
import { Engine, engineConfig, NO_SINK, Request, StreamTokens, VirtualClock } from '../src/core/index.ts';
import { auditBlocks, BlockLedger } from '../src/observability/index.ts';
import { circumstances, inWords } from './report.ts';

// What the allocation log costs an engine of 256 sequences that decode step by step: off, on, and with call stacks, in turns,
// each the best of its rounds; and what an audit of a full pool costs. `npx tsx bench/allocation-log.ts`

const SEQUENCES = 256;
const OUTPUT_TOKENS = 1000;
const BLOCKS = 40_000;
const ROUNDS = 9;
const GIB = 2 ** 30;
const TIMING = new RooflineTimingModel(catalogueModel('llama-3.1-8b'), H100_SXM, 16, {
  tensorParallel: 1,
  tokensPerStepMax: 8192,
});

const LOGS = {
  off: null,
  'events only': { eventsPerBlock: 4, stacks: false },
  stacks: { eventsPerBlock: 4, stacks: true },
};
const best = new Map<string, number>();
let auditMs = Number.POSITIVE_INFINITY;
console.log(inWords(circumstances()));
for (let round = -1; round < ROUNDS; round++) {
  for (const [name, log] of Object.entries(LOGS)) {
    const us = run(log);
    if (round >= 0) best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, us));
  }
}
const off = best.get('off')!;
for (const [name, us] of best)
  console.log(`allocation log ${name}: ${us.toFixed(2)} us a step, ${(us - off).toFixed(2)} more`);
console.log(`audit of ${BLOCKS} blocks, ${SEQUENCES} sequences: ${auditMs.toFixed(2)} ms`);

/** One run to its end; microseconds a step. Audits once on the way. */
function run(log: { readonly eventsPerBlock: number; readonly stacks: boolean } | null): number {
  const clock = new VirtualClock();
  const config = engineConfig('twinfer', {
    blocksTotal: BLOCKS,
    sequencesMax: SEQUENCES,
    tokensPerStepMax: 8192,
    modelLenMax: 8192,
  });
  const memory = {
    totalBytes: 80 * GIB,
    budgetBytes: 72 * GIB,
    weightBytes: 16 * GIB,
    activationBytes: GIB,
    runtimeBytes: GIB,
    blockBytes: 2 ** 20,
    kvBytes: BLOCKS * 2 ** 20,
    blocksTotal: BLOCKS,
    hostBlocksTotal: 0,
  };
  const device = { clock, device: H100_SXM, tensorParallel: 1, memory, timing: TIMING };
  const backend = new SimulatedBackend({
    ...device,
    stepsInFlight: config.stepsInFlight,
    stepsMax: 1,
    acceptance: null,
    faults: null,
  });
  const engine = new Engine({ config, clock, backend, hostTimer: new ModelledHostTimer() });
  if (log !== null) engine.kv.observer = new BlockLedger(BLOCKS, clock, log);
  for (let id = 0; id < SEQUENCES; id++)
    engine.submit(new Request(id, 0, new StreamTokens(128, id + 1), OUTPUT_TOKENS), NO_SINK);
  const from = performance.now();
  clock.run(5e9);
  const before = performance.now();
  auditBlocks(engine);
  const audit = performance.now() - before;
  auditMs = Math.min(auditMs, audit);
  clock.run();
  return (1e3 * (performance.now() - from - audit)) / engine.totals.steps;
}
