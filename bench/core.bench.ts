import { parseArgs } from 'node:util';
import { BLOCK_CASES } from './block-cases.ts';
import { type Case, type Effort, type Figure, measure } from './measure.ts';
import { circumstances, inWords, short, table } from './report.ts';
import { STEP_CASES, STEPPING_CASE } from './step-cases.ts';

// Scheduler step, admission with a prefix hit, block operations: `npm run bench`.
//
//   --smoke        a few samples each: shows that the benchmarks run, says nothing about speed
//   --json         one JSON document instead of the table
//   --only TEXT    cases whose name contains TEXT
//
// Bars are printed beside the figures; a figure over its bar does not fail the command, since machines differ.

const FULL: Effort = { rounds: 7, warmUpRounds: 2, samplesMax: 2000 };
const SMOKE: Effort = { rounds: 1, warmUpRounds: 0, samplesMax: 5 };

const { values: flags } = parseArgs({
  options: {
    smoke: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
  },
});

const where = circumstances();
const effort = flags.smoke ? SMOKE : FULL;
const cases: readonly Case[] = [...STEP_CASES, STEPPING_CASE, ...BLOCK_CASES];
const figures = cases.filter((subject) => subject.name.includes(flags.only)).map((subject) => measure(subject, effort));
if (flags.json) console.log(JSON.stringify({ ...where, smoke: flags.smoke, rounds: effort.rounds, figures }, null, 2));
else print(figures);

function print(rows: readonly Figure[]): void {
  console.log(inWords(where));
  console.log(`Medians of ${effort.rounds} rounds${flags.smoke ? ' (smoke: too few samples to mean anything)' : ''}.`);
  const head = ['case', 'unit', 'p50', 'p99', 'quietest round', 'p99 at most', ''];
  const cells = rows.map((row) => {
    const bar = row.p99Max === null ? '' : short(row.p99Max);
    return [row.name, row.unit, short(row.p50), short(row.p99), short(row.p99Least), bar, row.verdict ?? ''];
  });
  console.log(table(head, cells));
  const stepping = rows.find((row) => row.name === STEPPING_CASE.name);
  if (stepping !== undefined) console.log(`Stepping: ${short(1e3 / stepping.p50)} million sequence-steps per second.`);
}
