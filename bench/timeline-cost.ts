import { type EngineEvents, EventFanout } from '../src/core/index.ts';
import {
  ListenerSlot,
  PerfettoExport,
  SlowSteps,
  TimelineRecorder,
  TimelineRing,
} from '../src/observability/timeline/index.ts';
import { decodeRun, type RunListener, SEQUENCES } from './decode-run.ts';
import { circumstances, inWords } from './report.ts';

// What step traces cost an engine on the simulated device, each the best of its rounds, taken in turns: nobody listens; a slot
// that nobody has taken; what a server keeps all the time; a step trace with all rows; a timeline written as Perfetto's JSON.
// `npx tsx bench/timeline-cost.ts`

const ROUNDS = 12;

const CASES: Readonly<Record<string, () => RunListener>> = {
  'nobody listens': () => ({ events: null, attach: () => {} }),
  'a slot for a trace, empty': () => ({ events: new ListenerSlot(), attach: () => {} }),
  'slow steps': slowSteps,
  'slow steps and the last records': kept,
  'a step trace with all rows': () => recording(true, false),
  'a timeline to text': () => recording(false, true),
};

console.log(inWords(circumstances()));
const best = new Map<string, number>();
let steps = 0;
for (let round = -2; round < ROUNDS; round++) {
  // Whoever follows another finds the heap as that one left it: everybody comes first once.
  const cases = Object.entries(CASES);
  const first = (round + cases.length) % cases.length;
  for (const [name, listen] of [...cases.slice(first), ...cases.slice(0, first)]) {
    const run = decodeRun(1, listen);
    steps = run.steps;
    if (round >= 0) best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, (1e3 * run.ms) / run.steps));
  }
}
const bare = best.get('nobody listens')!;
console.log(`${SEQUENCES} sequences, ${steps} steps, us a step:`);
for (const [name, us] of [...best].sort((a, b) => a[1] - b[1]))
  console.log(`  ${us.toFixed(2)}  ${(us - bare).toFixed(2)} more  ${name}`);

function slowSteps(): RunListener {
  const slow = new SlowSteps(8);
  return { events: slow, attach: (engine) => slow.attach(engine) };
}

function kept(): RunListener {
  const slow = new SlowSteps(8);
  const ring = new TimelineRing();
  return {
    events: new EventFanout([slow, ring.events, new ListenerSlot()]),
    attach(engine) {
      slow.attach(engine);
      ring.attach(engine);
    },
  };
}

function recording(allRows: boolean, exported: boolean): RunListener {
  const slot = new ListenerSlot();
  const events: EngineEvents = slot;
  const trace = new PerfettoExport({ write: () => {} });
  return {
    events,
    attach(engine) {
      slot.listener = new TimelineRecorder({
        engine,
        rows: allRows ? 'all' : 'prefill',
        sink(words, length) {
          if (exported) trace.take(words, length);
          return words;
        },
      });
    },
  };
}
