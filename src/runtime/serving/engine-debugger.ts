import type { Engine } from '../../core/index.ts';
import type { DebugCall } from '../../gateway/engine-link.ts';
import {
  type AuditReport,
  auditBlocks,
  type BlockEvent,
  BlockLedger,
  type BlockLedgerOptions,
  type Diagnosis,
  diagnose,
  diagnosisText,
  type EngineMetrics,
  isClean,
  type LeakReport,
  leakReport,
  SlowPhaseWatch,
} from '../../observability/index.ts';

/** A line for the log of the main thread; `fields` are plain values without anything of users'. */
export interface EngineLogLine {
  readonly level: 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface EngineState {
  readonly diagnosis: Diagnosis;
  readonly text: string;
  readonly flightRecorder: readonly string[];
}

const AUDIT_NS = 60e9;
const LOGGED_FINDINGS = 10;
const LAST_STEPS = 16;

export interface EngineDebuggerOptions {
  readonly metrics: EngineMetrics;
  /** eventsPerBlock 0: no allocation log. */
  readonly allocationLog: BlockLedgerOptions;
  readonly log: (line: EngineLogLine) => void;
  readonly wallNs: () => number;
  /** Engine time that the wall clock gives. */
  readonly nowNs: () => number;
}

/** Logs phases of the scheduler's work that take more than a millisecond. */
export function watchSlowPhases(wallNs: () => number, log: (line: EngineLogLine) => void): SlowPhaseWatch {
  return new SlowPhaseWatch(wallNs, ({ phase, ns, ...fields }) =>
    log({
      level: 'warn',
      message: `scheduler phase ${phase} took ${(ns / 1e6).toFixed(2)} ms`,
      fields: { phase, ms: ns / 1e6, ...fields },
    }),
  );
}

/**
 * Answers what the person on call asks of an engine, and audits its blocks once a minute by itself: a minute of the wall's
 * time, which passes when the engine's stands still.
 */
export class EngineDebugger {
  private readonly engine: Engine;
  private readonly ledger: BlockLedger | null;
  private readonly metrics: EngineMetrics;
  private readonly log: (line: EngineLogLine) => void;
  private readonly nowNs: () => number;
  private nextAuditNs: number;

  constructor(engine: Engine, options: EngineDebuggerOptions) {
    const { allocationLog } = options;
    this.engine = engine;
    this.ledger =
      allocationLog.eventsPerBlock === 0
        ? null
        : new BlockLedger(engine.config.blocksTotal, engine.clock, allocationLog);
    engine.kv.observer = this.ledger;
    this.metrics = options.metrics;
    this.log = options.log;
    this.nowNs = options.nowNs;
    this.nextAuditNs = options.wallNs() + AUDIT_NS;
  }

  answer(
    call: DebugCall,
  ): EngineState | AuditReport | LeakReport | { readonly lines: readonly string[] } | readonly BlockEvent[] {
    switch (call.call) {
      case 'debug-state':
        return this.state();
      case 'debug-audit':
        return this.audit();
      case 'debug-leaks':
        return leakReport(this.engine, this.ledger);
      case 'debug-flight-recorder':
        return { lines: this.engine.recorder.lines() };
      case 'debug-block':
        if (this.ledger === null) throw new Error('the allocation log is off (debug.allocation_log: 0)');
        if (call.block >= this.engine.config.blocksTotal)
          throw new RangeError(`block ${call.block} is not one of 0 .. ${this.engine.config.blocksTotal - 1}`);
        return this.ledger.history(call.block);
    }
  }

  /** Audits when a minute has passed. */
  tick(wallNs: number): void {
    if (wallNs < this.nextAuditNs) return;
    this.nextAuditNs = wallNs + AUDIT_NS;
    this.audit();
  }

  private state(): EngineState {
    const diagnosis = diagnose(this.engine, this.ledger, this.nowNs());
    return {
      diagnosis,
      text: diagnosisText(diagnosis),
      flightRecorder: this.engine.recorder.lines().slice(-LAST_STEPS),
    };
  }

  private audit(): AuditReport {
    const report = auditBlocks(this.engine, this.ledger);
    this.metrics.audited(report.orphaned, report.mismatched);
    if (isClean(report)) return report;
    const { findings, findingsLeftOut, ...counts } = report;
    const left = findingsLeftOut + Math.max(0, findings.length - LOGGED_FINDINGS);
    this.log({
      level: 'error',
      message: 'block audit: blocks are lost or have wrong reference counts',
      fields: {
        ...counts,
        findings: findings.slice(0, LOGGED_FINDINGS),
        findingsLeftOut: left,
        flightRecorder: this.engine.recorder.lines().slice(-LAST_STEPS),
      },
    });
    return report;
  }
}
