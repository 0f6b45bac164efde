import Table from 'cli-table3';
import { Command } from 'commander';
import {
  PART_WORDS,
  percent,
  type RequestStory,
  storySentences,
  storyShares,
  time,
} from '../observability/explain/index.ts';
import type { SequenceName } from '../observability/timeline/index.ts';
import { explainLog } from '../runtime/explain-log.ts';
import { UsageError } from './exit-codes.ts';
import { PLAIN_TABLE } from './plain-table.ts';
import type { CliContext } from './run-twin.ts';

interface ExplainOptions {
  readonly decisionLog: string;
  readonly json?: true;
}

/** `twinfer explain REQUEST`: why one request took as long as it did. */
export function explainCommand(context: CliContext): Command {
  return new Command('explain')
    .description('Say what happened to one request of a run, and where its time went')
    .argument('<request>', 'its number, from 0 in order of arrival: the row of a trace; 17.1 = its second sequence')
    .requiredOption('--decision-log <file>', 'what simulate or replay wrote with --decision-log')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer replay trace.csv --scenario llama-3.1-8b-h100 --decision-log run.log.gz
  $ twinfer explain 1203 --decision-log run.log.gz

On a server the same is at GET /debug/requests/ID, for the requests of the last minutes.`,
    )
    .action((request: string, options: ExplainOptions) => explain(context, request, options));
}

async function explain({ io }: CliContext, request: string, options: ExplainOptions): Promise<void> {
  const story = await explainLog(options.decisionLog, sequenceOf(request));
  const sentences = storySentences(story);
  io.stdout.write(
    options.json === true ? `${JSON.stringify({ sentences, ...story }, null, 2)}\n` : text(story, sentences),
  );
}

/** Throws UsageError. */
function sequenceOf(text: string): SequenceName {
  const match = /^(\d{1,15})(?:\.(\d{1,5}))?$/.exec(text);
  if (match !== null) return { id: Number(match[1]), index: Number(match[2] ?? 0) };
  const allowed = 'the number of a request, such as 17, or 17.1 for its second sequence';
  throw new UsageError(`request: ${JSON.stringify(text)} is not allowed; allowed: ${allowed}`);
}

function text(story: RequestStory, [headline, ...others]: readonly string[]): string {
  const tables = [partsTable(story), holdersTable(story)].filter((table) => table !== '');
  return `${[headline, ...tables, others.map((sentence) => `- ${sentence}`).join('\n')].join('\n\n').trimEnd()}\n`;
}

function partsTable(story: RequestStory): string {
  const shares = storyShares(story);
  if (shares.length === 0) return '';
  const { ttftMs, totalMs } = story;
  const table = new Table({ ...PLAIN_TABLE, head: ['where the time went', 'of TTFT', '', 'of all', ''] });
  for (const { part, ms, ratio, ttftMs: first } of shares) {
    const early = first === null || ttftMs === null || ttftMs === 0 ? ['', ''] : [time(first), percent(first / ttftMs)];
    table.push([PART_WORDS[part], ...early, time(ms), percent(ratio)]);
  }
  table.push(['all', ttftMs === null ? '' : time(ttftMs), '', time(totalMs), '']);
  return table.toString();
}

function holdersTable({ holders }: RequestStory): string {
  if (holders === null || holders.top.length === 0) return '';
  const head = ['who held KV blocks when it began to wait', 'blocks', 'of all', 'tokens', 'running for'];
  const table = new Table({ ...PLAIN_TABLE, head });
  for (const { request, blocks, tokens, runningMs } of holders.top) {
    table.push([`request ${request}`, blocks, percent(blocks / holders.blocksTotal), tokens, time(runningMs)]);
  }
  return table.toString();
}
