import { describe, expect, it } from 'vitest';
import { type CostlyRequest, generatedRequest, HOSTILE, SERVED } from '../../bench/gateway-load/costly-requests.ts';
import { longTurns, ProbedServer } from '../../bench/gateway-load/probed-server.ts';
import { REPOSITORY_ROOT } from '../support/repository-files.ts';

const SEED = 1;
const models = process.env['TWINFER_MODELS'];

function* requests(generated: number): Generator<CostlyRequest> {
  yield* [...HOSTILE, ...SERVED];
  for (let index = 0; index < generated; index++) yield generatedRequest(SEED, index);
}

async function wrongOf(lines: readonly string[], generated: number): Promise<string[]> {
  const server = await ProbedServer.start(`${REPOSITORY_ROOT}src/cli/main.ts`, lines);
  try {
    for (let index = 0; index < 200; index++) await server.ask(generatedRequest(0, index));
    return await longTurns(server, requests(generated));
  } finally {
    await server.stop();
  }
}

describe('no request keeps the event loop from others', () => {
  it('of 5,000 that are generated', async () => {
    expect(await wrongOf([], 5000)).toEqual([]);
  });

  it.skipIf(models === undefined)("with a real model's tokenizer", async () => {
    expect(await wrongOf([`model_folder: ${models}/smollm2-135m-instruct`], 1000)).toEqual([]);
  });
});
