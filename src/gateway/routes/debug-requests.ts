import { StoryTeller, storySentences } from '../../observability/explain/index.ts';
import { readTimeline, type TimelineChunks } from '../../observability/timeline/index.ts';
import { DEBUG, type RouteRegistry } from '../access.ts';
import { ApiError, shown } from '../api/api-error.ts';
import type { GatewayContext } from '../context.ts';
import { nextTurn } from '../next-turn.ts';
import { allowNoQuery, askEngine } from './debug-trace.ts';

/** Sequences of a call that are told of. */
const SEQUENCES_MAX = 8;

/** Why a request took as long as it did, told from the engine's records of the last minutes. */
export function debugRequestRoutes(app: RouteRegistry, context: GatewayContext): void {
  const { names } = context;
  app.get<{ Params: { id: string } }>('/debug/requests/:id', DEBUG, async (request) => {
    allowNoQuery(request);
    const { id } = request.params;
    const sequences = names.sequencesOf(id);
    if (sequences.length === 0) throw unknown(id, 'no such answer id or x-request-id among the last calls');
    const chunks = (await askEngine(context, { call: 'recent-timeline' })) as TimelineChunks;
    const tellers = sequences.slice(0, SEQUENCES_MAX).map((sequence) => new StoryTeller(sequence, names.nameOf));
    const fromNs = await follow(chunks, tellers);
    const stories = tellers.flatMap((teller) => teller.story() ?? []);
    if (stories.length === 0)
      throw unknown(id, 'it is older than the records that the engine keeps, or than its last start');
    return {
      id,
      sequences: stories.map((story) => ({ sentences: storySentences(story), ...story })),
      sequences_total: sequences.length,
      records_from_engine_seconds: fromNs / 1e9,
    };
  });
}

/** Hands all records to the tellers, a chunk at a time: others want this thread as well. Returns where they begin. */
async function follow({ chunks, lengths }: TimelineChunks, tellers: readonly StoryTeller[]): Promise<number> {
  let fromNs = 0;
  for (const [i, words] of chunks.entries()) {
    for (const record of readTimeline(words, lengths[i]!)) {
      if (fromNs === 0 && record.kind === 'begin') fromNs = record.ns;
      for (const teller of tellers) teller.take(record);
    }
    await nextTurn();
  }
  return fromNs;
}

function unknown(id: string, why: string): ApiError {
  return new ApiError(404, 'not_found_error', 'unknown_request', null, `${shown(id)}: ${why}`);
}
