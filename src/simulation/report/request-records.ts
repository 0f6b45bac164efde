import type { Sequence } from '../../core/index.ts';

export type RecordFormat = 'csv' | 'jsonl';

/** Columns of a record, in order. Times in nanoseconds since the run began, -1 = it did not happen. */
export const RECORD_COLUMNS = [
  'requestId',
  'index',
  'arrivalNs',
  'admittedNs',
  'firstTokenNs',
  'lastTokenNs',
  'finishedNs',
  'waitedNs',
  'promptTokens',
  'outputTokens',
  'cachedPromptTokens',
  'scheduledPromptTokens',
  'recomputedPromptTokens',
  'recomputedOutputTokens',
  'proposedDraftTokens',
  'acceptedDraftTokens',
  'preemptions',
  'finishReason',
] as const;

const CHUNK_CHARACTERS = 1 << 16;

/** One record per finished sequence, in finishing order, as text handed on in chunks of about 64 KiB. */
export class RequestRecords {
  private readonly format: RecordFormat;
  private readonly write: (chunk: string) => void;
  private chunk: string;

  constructor(format: RecordFormat, write: (chunk: string) => void) {
    this.format = format;
    this.write = write;
    this.chunk = format === 'csv' ? RECORD_COLUMNS.join(',') + '\n' : '';
  }

  add(sequence: Sequence): void {
    const values = valuesOf(sequence);
    this.chunk += (this.format === 'csv' ? values.join(',') : jsonOf(values)) + '\n';
    if (this.chunk.length >= CHUNK_CHARACTERS) this.flush();
  }

  /** Hands on what is left. The file is complete after that. */
  close(): void {
    if (this.chunk.length > 0) this.flush();
  }

  private flush(): void {
    this.write(this.chunk);
    this.chunk = '';
  }
}

/** In the order of RECORD_COLUMNS. */
function valuesOf(sequence: Sequence): (number | string)[] {
  return [
    sequence.request.id,
    sequence.index,
    sequence.request.arrivalNs,
    sequence.admittedNs,
    sequence.firstTokenNs,
    sequence.lastTokenNs,
    sequence.finishedNs,
    sequence.waitedNs,
    sequence.promptTokens,
    sequence.outputTokens,
    sequence.cachedPromptTokens,
    sequence.scheduledPromptTokens,
    sequence.recomputedPromptTokens,
    sequence.recomputedOutputTokens,
    sequence.proposedDraftTokens,
    sequence.acceptedDraftTokens,
    sequence.preemptions,
    sequence.finishReason ?? '',
  ];
}

function jsonOf(values: readonly (number | string)[]): string {
  return '{' + RECORD_COLUMNS.map((name, i) => `"${name}":${JSON.stringify(values[i])}`).join(',') + '}';
}
