import { afterEach, describe, it } from 'vitest';
import { type BusyGateway, busyGateway, refusesWhileDraining } from './busy-gateway.ts';

let gateway: BusyGateway;
afterEach(() => gateway.close());

describe('while the engine has more to say than the gateway can write', () => {
  it('a new call gets 503 on SIGTERM', async () => {
    gateway = await busyGateway(50, {}, true);
    await refusesWhileDraining(gateway);
  });

  it('slow readers do not keep others from their answers', async () => {
    gateway = await busyGateway(50, { logprobs: 20 }, false);
    for (let i = 0; i < 3; i++) await gateway.answers(() => gateway.server.load());
  });
});
