import { z } from 'zod';
import type { DeviceFault } from '../backends/simulated/faults.ts';
import { duration, durationNs } from './units.ts';

const failure = <K extends 'transient' | 'sticky' | 'device-lost'>(kind: K, description: string) =>
  z
    .strictObject({
      kind: z.literal(kind),
      at: duration('When; an idle device fails in its next step'),
      message: z.string().min(1).max(200).describe('What logs and clients are told').default(`injected fault: ${kind}`),
    })
    .describe(description);

const window = { from: duration('Begins here'), to: duration('Ends here, later than from') };

/** Troubles of the simulated device. */
export const faultSchema = z
  .discriminatedUnion('kind', [
    failure('transient', 'One step fails and may be tried again'),
    failure('sticky', 'One step fails and its sequences are lost'),
    failure('device-lost', 'The device fails for good'),
    z
      .strictObject({
        kind: z.literal('slow'),
        ...window,
        factor: z.number().positive().max(1e6).describe('Steps take this many times as long'),
      })
      .describe('Thermal throttling or a noisy neighbour'),
    z
      .strictObject({
        kind: z.literal('unhealthy'),
        ...window,
        gpu: z.int().min(0).max(63).describe('Which device; without it all').optional(),
      })
      .describe('Telemetry reports a device as unhealthy'),
  ])
  .describe('A trouble of the device');

export type FaultSection = z.output<typeof faultSchema>;

/** A fault in the terms of the simulated backend. */
export function faultOf(section: FaultSection): DeviceFault {
  if ('at' in section) return { kind: section.kind, atNs: durationNs(section.at), message: section.message };
  const fromNs = durationNs(section.from);
  const toNs = durationNs(section.to);
  if (section.kind === 'slow') return { kind: 'slow', fromNs, toNs, factor: section.factor };
  return { kind: 'unhealthy', fromNs, toNs, gpu: section.gpu ?? null };
}
