import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generatedRequest, HOSTILE, SERVED } from '../../bench/gateway-load/costly-requests.ts';
import { longTurns, ProbedServer } from '../../bench/gateway-load/probed-server.ts';
import { REPOSITORY_ROOT } from '../support/repository-files.ts';

const WARM_UP = 30;
const SEED = 1;
const SAMPLE = 40;

let server: ProbedServer;
beforeAll(async () => {
  server = await ProbedServer.start(`${REPOSITORY_ROOT}src/cli/main.ts`);
  // Code that runs for the first time is compiled first.
  for (let index = 0; index < WARM_UP; index++) await server.ask(generatedRequest(0, index));
});
afterAll(() => server.stop());

describe('no request keeps the event loop from others', () => {
  it('that an attack sent', async () => {
    expect(await longTurns(server, HOSTILE)).toEqual([]);
  });

  it('that an evaluation harness sends', async () => {
    expect(await longTurns(server, SERVED)).toEqual([]);
  });

  it('of many that are generated', async () => {
    const requests = Array.from({ length: SAMPLE }, (_, index) => generatedRequest(SEED, index));
    expect(await longTurns(server, requests)).toEqual([]);
  });
});
