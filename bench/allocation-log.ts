import { type Engine, PRIORITY } from '../src/core/index.ts';
import { auditBlocks, BlockLedger } from '../src/observability/index.ts';
import { decodeRun, SEQUENCES } from './decode-run.ts';
import { circumstances, inWords } from './report.ts';

// What the allocation log costs an engine of 256 sequences that decode step by step: off, on, and with call stacks, in turns,
// each the best of its rounds; and what an audit of a full pool costs. `npx tsx bench/allocation-log.ts`

const ROUNDS = 9;
/** Engine time of the audit, when all sequences run. */
const AUDIT_NS = 5e9;

const LOGS = {
  off: null,
  'events only': { eventsPerBlock: 4, stacks: false },
  stacks: { eventsPerBlock: 4, stacks: true },
};
const best = new Map<string, number>();
let auditMs = Number.POSITIVE_INFINITY;
let blocks = 0;
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
console.log(`audit of ${blocks} blocks, ${SEQUENCES} sequences: ${auditMs.toFixed(2)} ms`);

/** One run to its end; microseconds a step. Audits once on the way. */
function run(log: { readonly eventsPerBlock: number; readonly stacks: boolean } | null): number {
  let spentMs = 0;
  const attach = (engine: Engine) => {
    blocks = engine.config.blocksTotal;
    if (log !== null) engine.kv.observer = new BlockLedger(blocks, engine.clock, log);
    const audit = () => {
      const from = performance.now();
      auditBlocks(engine);
      spentMs = performance.now() - from;
    };
    engine.clock.at(AUDIT_NS, PRIORITY.sample, { run: audit });
  };
  const { ms, steps } = decodeRun(1, () => ({ events: null, attach }));
  auditMs = Math.min(auditMs, spentMs);
  return (1e3 * (ms - spentMs)) / steps;
}
