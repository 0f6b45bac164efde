import type { BackendParts } from '../../src/backends/open-backend.ts';
import { type Backend, PRIORITY } from '../../src/core/index.ts';

/** How a constant backend answers. */
export interface ConstantOptions {
  readonly token: number;
  readonly stepNs: number;
}

/** A backend outside of Twinfer, as a module: every step takes as long and every row gives the same token. */
export function createBackend(options: unknown, { config, clock }: BackendParts): Backend {
  const { token, stepNs } = options as ConstantOptions;
  return {
    limits: {
      blocksTotal: config.blocksTotal,
      hostBlocksTotal: config.hostBlocksTotal,
      stepsInFlightMax: 1,
      stepsMax: 1,
      impliedTokens: false,
      sameStepPrefixReads: true,
    },
    submit(plan, result, done) {
      const startNs = clock.nowNs();
      clock.at(startNs + stepNs, PRIORITY.stepDone, {
        run: () => {
          result.stepsRun = 1;
          result.durationsNs[0] = stepNs;
          for (let row = 0; row < plan.rows; row++) result.tokens[row * (plan.draftTokensMax + 1)] = token;
          done.stepDone(plan, result);
        },
      });
    },
    telemetry(into) {
      into.gpus.length = 0;
    },
    close() {},
  };
}
