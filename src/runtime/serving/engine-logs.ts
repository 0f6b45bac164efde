import type { Logger } from 'pino';
import { type AnswerNames, debugBody, withNames } from '../../gateway/answer/debug-body.ts';
import type { EngineLink } from '../../gateway/engine-link.ts';
import type { Guard } from '../../gateway/guard.ts';
import { loggedId } from '../../gateway/limits/log-options.ts';
import type { RequestNames } from '../../gateway/request-names.ts';
import type { EngineThreadLinkOptions } from './engine-thread-link.ts';

/** The names of requests as the log has them. */
function loggedNames(names: RequestNames): AnswerNames {
  return {
    answerOf(id) {
      const name = names.answerOf(id);
      return name === null ? null : loggedId(name);
    },
  };
}

/** What becomes of the engine's thread, and what it has to say, as lines of the log. */
export function engineLogs(log: Logger, names: RequestNames): Pick<EngineThreadLinkOptions, 'onEvent' | 'onLog'> {
  const logged = loggedNames(names);
  return {
    onEvent(event, detail, broken = null) {
      const fields = {
        event,
        detail: withNames(detail, names),
        ...(broken === null ? {} : { invariant: broken.law, flight_recorder: broken.history }),
      };
      log[event === 'started' ? 'info' : 'error'](fields, `engine ${event}`);
    },
    onLog({ level, message, fields }) {
      log[level](debugBody(fields, logged) as object, message);
    },
  };
}

export interface StallReporterOptions {
  readonly link: EngineLink;
  readonly stallMs: number;
  /** After which it does not wait for the engine's own view: a hung thread has none. */
  readonly engineAnswerMs: number;
  readonly log: Logger;
  readonly names: RequestNames;
  readonly guard: Guard;
}

/** Reports once per stall why nothing goes on, when no step has ended for `stallMs` though requests are with the engine. */
export class StallReporter {
  private readonly options: StallReporterOptions;
  private reported = false;

  constructor(options: StallReporterOptions) {
    this.options = options;
  }

  /** To be called about once a second. */
  look(): void {
    const { link, stallMs } = this.options;
    if (link.stalledMs <= stallMs) {
      this.reported = false;
      return;
    }
    if (this.reported) return;
    this.reported = true;
    this.report();
  }

  private report(): void {
    const { link, log, engineAnswerMs, guard } = this.options;
    const names = loggedNames(this.options.names);
    const facts = { stalled_ms: Math.round(link.stalledMs), engine_silent_ms: Math.round(link.silentMs) };
    const { runningSequences, waitingSequences, blocksUsed, blocksTotal, stepsDone } = link.status;
    const page = debugBody({ runningSequences, waitingSequences, blocksUsed, blocksTotal, stepsDone }, names) as object;
    let told = false;
    const tell = (engine: object, verdict: string) => {
      if (told) return;
      told = true;
      clearTimeout(timer);
      log.error({ ...facts, ...page, ...engine }, `stalled: ${verdict}`);
    };
    const silence = () => tell({}, "the engine's thread does not answer");
    const timer = guard.after('stall_report', engineAnswerMs, silence);
    timer.unref();
    link.admin({ call: 'debug-state' }).then(
      (value) => {
        const { text, ...engine } = value as { readonly text: string };
        tell(debugBody(engine, names) as object, withNames(text, names).split('\n', 1)[0]!);
      },
      () => tell({}, 'the engine is not running'),
    );
  }
}
