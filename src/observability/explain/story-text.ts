import {
  type RequestStory,
  STORY_PARTS,
  type StoryPart,
  type StoryWait,
  type StoryWaitReason,
} from './request-story.ts';

/** What the parts are called in sentences and tables. */
export const PART_WORDS: Readonly<Record<StoryPart, string>> = {
  queue: 'waiting in the queue',
  prefill: 'computing its prompt',
  interference: "other requests' prompts",
  decode: 'decoding',
  preempted: 'preempted',
};

const WAIT_WORDS: Readonly<Record<StoryWaitReason, string>> = {
  budget: 'room in the token budget of a step',
  blocks: 'KV blocks',
  sequences: 'a place in the batch',
  'preempted-this-step': 'the end of a preemption (nobody is admitted in a step that preempts)',
  watermark: 'KV blocks above the watermark',
  overcommit: 'KV blocks that are not promised to others',
  'in-flight': 'blocks that come free when the step in flight ends',
  'step-in-flight': 'the step in flight to end',
};

/** A second part is named at the top from this share on. */
const ALSO_MIN = 0.2;
const REASONS_MAX = 3;
const HOLDERS_MAX = 3;

/** The story in sentences, the most important first: what the person on call needs to know. */
export function storySentences(story: RequestStory): string[] {
  const { rejection } = story;
  if (rejection !== null)
    return [`Request ${story.request} was refused when it arrived, at ${seconds(story)}: ${rejection}.`];
  const sentences = [headline(story), arrival(story), ...waiting(story), ...prompt(story)];
  for (const preemption of story.preemptions) {
    const { atMs, reason, how, madeRoomFor, lostTokens, awayMs, untilTokenMs } = preemption;
    const lost =
      how === 'swap' ? 'its KV was swapped to the host' : `${count(lostTokens, 'token')} had to be computed again`;
    const back = awayMs === null ? 'it never came back' : `it was back after ${time(awayMs)}`;
    const token = untilTokenMs === null ? '' : `, its next token came ${time(untilTokenMs)} after the preemption`;
    const whom = madeRoomFor === story.request ? 'those before it' : `request ${madeRoomFor}`;
    sentences.push(`At +${time(atMs)} it was preempted (${reason}) for ${whom}: ${lost}; ${back}${token}.`);
  }
  return [...sentences, ...decoding(story), ...ending(story)];
}

/** Parts with their shares, largest first, those without time left out. */
export function storyShares(
  story: RequestStory,
): { part: StoryPart; ms: number; ratio: number; ttftMs: number | null }[] {
  const { parts, partsOfTtft, totalMs } = story;
  return STORY_PARTS.filter((part) => parts[part] > 0)
    .map((part) => ({
      part,
      ms: parts[part],
      ratio: totalMs > 0 ? parts[part] / totalMs : 0,
      ttftMs: partsOfTtft === null ? null : partsOfTtft[part],
    }))
    .sort((a, b) => b.ms - a.ms);
}

function headline(story: RequestStory): string {
  const { request, state, totalMs, ttftMs } = story;
  const took =
    state === 'finished'
      ? `took ${time(totalMs)}`
      : `is ${state === 'running' ? 'running' : state} since ${time(totalMs)}`;
  const first = ttftMs === null ? 'without a first token' : `first token after ${time(ttftMs)}`;
  const [most, second] = storyShares(story);
  if (most === undefined) return `Request ${request} ${took}, ${first}.`;
  const also = second === undefined || second.ratio < ALSO_MIN ? '' : `, ${shareWords(story, second)}`;
  return `Request ${request} ${took}, ${first}. Of its time went ${shareWords(story, most)}${also}.`;
}

function shareWords(
  { waits }: RequestStory,
  { part, ms, ratio }: { part: StoryPart; ms: number; ratio: number },
): string {
  const cause = part === 'queue' ? causeOf(waits) : '';
  return `${percent(ratio)} (${time(ms)}) into ${PART_WORDS[part]}${cause}`;
}

function causeOf(waits: readonly StoryWait[]): string {
  const [longest] = waits;
  return longest === undefined || longest.reason === 'step-in-flight' ? '' : `, for ${WAIT_WORDS[longest.reason]}`;
}

function arrival(story: RequestStory): string {
  const { promptTokens, outputTokensMax, aheadInQueue } = story;
  const ahead = aheadInQueue === 0 ? 'an empty queue' : `${count(aheadInQueue, 'sequence')} in the queue before it`;
  const asks = `${count(promptTokens, 'prompt token')} and at most ${outputTokensMax} to generate`;
  return `It arrived at ${seconds(story)} with ${asks}, and found ${ahead}.`;
}

function waiting(story: RequestStory): string[] {
  const { waits, holders } = story;
  const told = waits.filter((wait) => wait.ms >= 0.001);
  if (told.length === 0) return [];
  const all = told.reduce((sum, { ms }) => sum + ms, 0);
  const behind = told.reduce((sum, { atHead, ms }) => sum + (atHead ? 0 : ms), 0);
  const byReason = new Map<StoryWaitReason, number>();
  for (const { reason, ms } of told) byReason.set(reason, (byReason.get(reason) ?? 0) + ms);
  const why = [...byReason].sort((a, b) => b[1] - a[1]).map(([reason, ms]) => `${time(ms)} for ${WAIT_WORDS[reason]}`);
  const turn =
    behind === 0 ? '' : `, ${percent(behind / all)} of that behind others in the queue whose first lacked the same`;
  const sentences = [`It waited ${why.slice(0, REASONS_MAX).join(', ')}${turn}.`];
  if (holders === null) return sentences;
  const { blocksUsed, blocksTotal, running, top } = holders;
  const held = blocksUsed === null ? `${blocksTotal} blocks in all` : `${blocksUsed} of ${blocksTotal} blocks in use`;
  const most = top
    .slice(0, HOLDERS_MAX)
    .map(({ request, blocks, runningMs }) => `${request} (${blocks}, for ${time(runningMs)})`)
    .join(', ');
  sentences.push(`When it began to wait ${count(running, 'sequence')} ran, ${held}; most were held by ${most}.`);
  return sentences;
}

function prompt(story: RequestStory): string[] {
  const { queueMs, cachedTokens, promptTokens, chunksTotal, chunks, steps, ttftMs } = story;
  if (queueMs === null) return ['It has not been admitted.'];
  const cached =
    cachedTokens === 0 ? 'nothing of its prompt cached' : `${cachedTokens} of ${promptTokens} prompt tokens cached`;
  const admitted = `It was admitted after ${time(queueMs)}, with ${cached}`;
  if (chunksTotal === 0) return [`${admitted}.`];
  const others = chunks.reduce((sum, chunk) => sum + chunk.othersTokens, 0);
  const beside = others === 0 ? '' : `, which also computed ${count(others, 'prompt token')} of others`;
  const out = steps.leftOut === 0 ? '' : `; ${count(steps.leftOut, 'step')} ran without it`;
  const until = ttftMs === null ? '' : `, until ${time(ttftMs)}`;
  return [`${admitted}; its prompt took ${count(chunksTotal, 'step')}${beside}${out}${until}.`];
}

function decoding({ steps, parts }: RequestStory): string[] {
  const sentences: string[] = [];
  if (steps.mixed > 0) {
    const how = `${steps.mixed} of its ${count(steps.decode, 'decode step')} also computed prompts of others`;
    sentences.push(`${how}, which cost ${time(parts.interference)} in all.`);
  }
  if (steps.failed > 0) sentences.push(`${count(steps.failed, 'step')} that it was in failed and ran again.`);
  return sentences;
}

function ending(story: RequestStory): string[] {
  const { finishReason, outputTokens, complete, state } = story;
  const sentences: string[] = [];
  if (finishReason !== null) sentences.push(`It ended as "${finishReason}" with ${count(outputTokens ?? 0, 'token')}.`);
  if (!complete && state === 'finished')
    sentences.push('Records begin after its arrival: what came before is known by its times alone.');
  return sentences;
}

function seconds(story: RequestStory): string {
  return `${story.arrivalSeconds.toFixed(3)} s`;
}

function count(many: number, noun: string): string {
  return `${many} ${noun}${many === 1 ? '' : 's'}`;
}

/** Milliseconds below a second, seconds above. */
export function time(ms: number): string {
  return ms < 1000 ? `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

export function percent(ratio: number): string {
  return `${(100 * ratio).toFixed(0)} %`;
}
