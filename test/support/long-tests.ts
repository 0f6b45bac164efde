import type { ReportedHookContext, Reporter, TestCase, TestModule } from 'vitest/node';

/** How often the tests that run are looked at, and from which age on they are named. */
const LOOK_MS = 60_000;
const LONG_MS = 120_000;

/**
 * Names the files, hooks and tests that have been running for minutes, and fails none of them: tests have no time limits here,
 * and one that hangs must still be found.
 */
export class LongTests implements Reporter {
  private readonly nowMs: () => number;
  private readonly print: (line: string) => void;
  private readonly running = new Map<string, { readonly name: string; readonly sinceMs: number }>();
  private timer: NodeJS.Timeout | null = null;

  constructor(nowMs = () => performance.now(), print = (line: string) => void process.stdout.write(`${line}\n`)) {
    this.nowMs = nowMs;
    this.print = print;
  }

  onTestRunStart(): void {
    this.timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  onTestRunEnd(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.running.clear();
  }

  onTestModuleQueued(module: TestModule): void {
    this.begin(module.id, `${module.relativeModuleId}: loading`);
  }

  onTestModuleCollected(module: TestModule): void {
    this.running.delete(module.id);
  }

  onTestModuleEnd(module: TestModule): void {
    this.running.delete(module.id);
  }

  onTestCaseReady(test: TestCase): void {
    this.begin(test.id, `${test.module.relativeModuleId}: ${test.fullName}`);
  }

  onTestCaseResult(test: TestCase): void {
    this.running.delete(test.id);
  }

  onHookStart({ name, entity }: ReportedHookContext): void {
    const module = entity.type === 'module' ? entity : entity.module;
    this.begin(`${name} ${entity.id}`, `${module.relativeModuleId}: ${name}`);
  }

  onHookEnd({ name, entity }: ReportedHookContext): void {
    this.running.delete(`${name} ${entity.id}`);
  }

  look(): void {
    const nowMs = this.nowMs();
    for (const { name, sinceMs } of this.running.values()) {
      if (nowMs - sinceMs >= LONG_MS) this.print(`running for ${Math.round((nowMs - sinceMs) / 60_000)} min: ${name}`);
    }
  }

  private begin(id: string, name: string): void {
    this.running.set(id, { name, sinceMs: this.nowMs() });
  }
}
