/** Writes a text, and says when it is written or why it cannot be. Must not throw. */
export type LogWriter = (text: string, done: (error: Error | null) => void) => void;

const PENDING_CHARACTERS_MAX = 2 ** 20;
/** pino's number for warnings. */
const LEVEL_WARN = 40;

/**
 * Where log lines go. A log that cannot be written (full disk, reader gone) never harms the server: lines are dropped and
 * counted, each later batch is a new attempt, and the first line after a recovery says how many were lost. One write is under
 * way at a time; what comes meanwhile waits in bounded memory.
 */
export class LogSink {
  /** Lines that were lost since the start. */
  linesDropped = 0;
  private readonly writer: LogWriter;
  private readonly pendingMax: number;
  private pending: string[] = [];
  private pendingCharacters = 0;
  private writing = false;
  /** Of `linesDropped`, those that a line in the log has told of. */
  private linesTold = 0;
  private idle: (() => void)[] = [];

  constructor(writer: LogWriter, pendingCharactersMax: number = PENDING_CHARACTERS_MAX) {
    this.writer = writer;
    this.pendingMax = pendingCharactersMax;
  }

  /** Takes one line with its newline. Never throws, never waits. */
  write(line: string): void {
    if (this.pendingCharacters + line.length > this.pendingMax) {
      this.linesDropped++;
      return;
    }
    this.pending.push(line);
    this.pendingCharacters += line.length;
    if (!this.writing) this.next();
  }

  /** Resolves when nothing is left to write. */
  flushed(): Promise<void> {
    if (!this.writing) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  private next(): void {
    const lines = this.pending;
    if (lines.length === 0) {
      this.writing = false;
      const waiters = this.idle;
      this.idle = [];
      for (const resolve of waiters) resolve();
      return;
    }
    this.writing = true;
    this.pending = [];
    this.pendingCharacters = 0;
    const lost = this.linesDropped - this.linesTold;
    const told = this.linesDropped;
    const text = (lost === 0 ? '' : lossLine(lost)) + lines.join('');
    let answered = false;
    this.writer(text, (error) => {
      if (answered) return;
      answered = true;
      if (error === null) this.linesTold = told;
      else this.linesDropped += lines.length;
      this.next();
    });
  }
}

function lossLine(lines: number): string {
  return `${JSON.stringify({ level: LEVEL_WARN, linesDropped: lines, msg: 'log lines were lost: the log could not be written' })}\n`;
}
