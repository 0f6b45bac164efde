import { type Ending, type Manner, RoughClient, type RoughTarget } from './rough-client.ts';

export interface SoakOptions {
  readonly requests: number;
  /** Of them at the same time. */
  readonly concurrency: number;
  readonly seed: number;
  /** Called after each request. */
  progress?(done: number): void;
}

export interface SoakResult {
  readonly endings: Readonly<Record<Ending, number>>;
  readonly manners: Readonly<Partial<Record<Manner, number>>>;
  /** What was broken, the first few. */
  readonly broken: readonly string[];
}

const BROKEN_SHOWN = 5;

/** Lets rough clients at a server; resolves when each has had its end. */
export async function soak(target: RoughTarget, options: SoakOptions): Promise<SoakResult> {
  const paused: (() => void)[] = [];
  const client = new RoughClient(target, options.seed, (resume) => {
    paused.push(resume);
    // They must not take all places.
    if (paused.length > options.concurrency / 4) paused.shift()!();
    settle();
  });
  const endings: Record<Ending, number> = {
    completed: 0,
    refused: 0,
    overloaded: 0,
    'hung up': 0,
    'cut off': 0,
    attacked: 0,
    broken: 0,
  };
  const manners: Partial<Record<Manner, number>> = {};
  const broken: string[] = [];
  let next = 0;
  let done = 0;
  /** When only slow readers are left: they read on when the server has sent what it could, or cut them off. */
  const settle = (): void => {
    if (next < options.requests || next - done > paused.length) return;
    void untilIdle(target).then(() => {
      for (const resume of paused.splice(0)) resume();
    });
  };
  const worker = async (): Promise<void> => {
    while (next < options.requests) {
      const index = next++;
      const { manner, ending, detail } = await client.ask(index);
      endings[ending]++;
      manners[manner] = (manners[manner] ?? 0) + 1;
      if (ending === 'broken' && broken.length < BROKEN_SHOWN) broken.push(`request ${index} (${manner}): ${detail}`);
      done++;
      options.progress?.(done);
      settle();
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  client.close();
  return { endings, manners, broken };
}

async function untilIdle({ port, key }: RoughTarget): Promise<void> {
  const headers = key === null ? {} : { authorization: `Bearer ${key}` };
  for (;;) {
    const page = await (await fetch(`http://127.0.0.1:${port}/load`, { headers })).json();
    if ((page as { readonly live_requests: number }).live_requests === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Generation requests as the server counted them, from the text of /metrics. */
export interface ServerCounts {
  readonly received: number;
  /** By outcome: each request in exactly one. */
  readonly outcomes: Readonly<Record<string, number>>;
}

export function serverCounts(metrics: string): ServerCounts {
  const received = /^gateway_requests_received_total (\d+)$/m.exec(metrics);
  if (received === null) throw new Error('/metrics has no gateway_requests_received_total');
  const outcomes: Record<string, number> = {};
  for (const [, outcome, count] of metrics.matchAll(/^gateway_requests_total\{outcome="(\w+)"\} (\d+)$/gm)) {
    outcomes[outcome!] = Number(count);
  }
  return { received: Number(received[1]), outcomes };
}
