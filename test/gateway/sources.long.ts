import { expect, it } from 'vitest';
import { checkSources, SERVERS, startSourceServer } from './sources.ts';

const RUNS = 20_000;

it.each(SERVERS.map((kind) => [kind.name, kind] as const))(`%s: ${RUNS} sources`, async (_name, kind) => {
  const target = await startSourceServer(kind);
  try {
    await checkSources(target, RUNS);
    expect(target.server.serving.link.state).toBe('running');
  } finally {
    await target.server.close();
  }
});
