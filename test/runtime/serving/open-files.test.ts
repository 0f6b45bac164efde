import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONNECTIONS_RESERVED } from '../../../src/gateway/connections.ts';
import { openFilesCheck } from '../../../src/runtime/doctor/server-checks.ts';
import { connectionRoom } from '../../../src/runtime/serving/open-files.ts';
import { testServeConfig } from '../../support/test-server.ts';

const CONFIG = testServeConfig();

describe('connections under the limit of open files', () => {
  it('fit, with what is kept for probes and for the process, are as many as configured where they may, and at least one', () => {
    const numbers = fc.integer({ min: 1, max: 100_000 });
    fc.assert(
      fc.property(
        numbers,
        numbers,
        fc.integer({ min: 0, max: 64 }),
        (connectionsMax, openFilesMax, tokenizerThreads) => {
          const config = { ...CONFIG, tokenizerThreads, http: { ...CONFIG.http, connectionsMax } };
          const room = connectionRoom(config, openFilesMax);
          expect(room.filesReserved).toBeGreaterThan(CONNECTIONS_RESERVED + tokenizerThreads);
          expect(room.connectionsMax).toBeGreaterThanOrEqual(1);
          expect(room.connectionsMax).toBeLessThanOrEqual(connectionsMax);
          if (room.connectionsMax > 1)
            expect(room.connectionsMax + room.filesReserved).toBeLessThanOrEqual(openFilesMax);
          if (room.connectionsMax < connectionsMax)
            expect(room.connectionsMax + 1 + room.filesReserved).toBeGreaterThan(openFilesMax);
        },
      ),
    );
  });

  it('are as configured where the system does not tell its limit', () => {
    expect(connectionRoom(CONFIG, null).connectionsMax).toBe(CONFIG.http.connectionsMax);
    expect(openFilesCheck(CONFIG, connectionRoom(CONFIG, null)).verdict).toBe('ok');
  });

  it('are what twinfer doctor says', () => {
    const { filesReserved } = connectionRoom(CONFIG, null);
    expect(openFilesCheck(CONFIG, connectionRoom(CONFIG, 20_000))).toMatchObject({ verdict: 'ok', advice: '' });
    expect(openFilesCheck(CONFIG, connectionRoom(CONFIG, 1024))).toMatchObject({
      verdict: 'warn',
      found: `limit 1024, max_connections 4096: the server would take ${1024 - filesReserved}`,
      advice: expect.stringContaining(`ulimit -n ${4096 + filesReserved}`),
    });
    expect(openFilesCheck(CONFIG, connectionRoom(CONFIG, 100)).verdict).toBe('fail');
  });
});
