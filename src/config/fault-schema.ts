import { z } from 'zod';
import type { DeviceFault } from '../backends/simulated/faults.ts';
import type { HostFault } from '../backends/simulated/host-faults.ts';
import type { StepFailure } from '../core/index.ts';
import { duration, durationNs } from './units.ts';

const failure = <K extends StepFailure>(kind: K, description: string) =>
  z
    .strictObject({
      kind: z.literal(kind),
      at: duration('When; an idle device fails in its next step'),
      message: z.string().min(1).max(200).describe('What logs and clients are told').default(`injected fault: ${kind}`),
    })
    .describe(description);

const window = { from: duration('Begins here'), to: duration('Ends here, later than from') };

/** Troubles of the simulated device and of the host. */
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
        kind: z.literal('failing'),
        ...window,
        every: duration('Time between two failures; a device that was idle fails once'),
        message: z
          .string()
          .min(1)
          .max(200)
          .describe('What logs and clients are told')
          .default('injected fault: failing'),
      })
      .describe('Now and then a step fails and its sequences are lost: bad memory, a loose link'),
    z
      .strictObject({
        kind: z.literal('acceptance'),
        ...window,
        rates: z
          .array(z.number().min(0).max(1))
          .min(1)
          .max(128)
          .describe('In place of acceptance_rates of the section speculation'),
      })
      .describe('The drafts fit the text worse, or better; simulations only'),
    z
      .strictObject({
        kind: z.literal('unhealthy'),
        ...window,
        gpu: z.int().min(0).max(63).describe('Which device; without it all').optional(),
      })
      .describe('Telemetry reports a device as unhealthy'),
    z
      .strictObject({ kind: z.literal('hang'), ...window })
      .describe('The device hangs: no step ends in this time, what would have ended in it ends with it'),
    z
      .strictObject({
        kind: z.literal('slow-host'),
        ...window,
        factor: z.number().positive().max(1e6).describe("The scheduler's own work takes this many times as long"),
      })
      .describe("A noisy neighbour on the host's cores"),
    z
      .strictObject({
        kind: z.literal('kv-leak'),
        at: duration('When'),
        blocks: z.int().min(1).max(1e9).describe('KV blocks that are taken and never come back'),
      })
      .describe('A leak of KV blocks; full checks of the invariants, which forbid it, are off in such a run'),
    z
      .strictObject({ kind: z.literal('process-down'), ...window })
      .describe(
        'The process of the server dies and is there again at the end: what runs fails, what arrives is refused, metrics cannot be scraped and begin anew; simulations only',
      ),
  ])
  .describe('A trouble of the device or of the host');

export type FaultSection = z.output<typeof faultSchema>;

/** A fault in the terms of the simulated backend. */
export function faultOf(section: FaultSection): DeviceFault | HostFault {
  if (section.kind === 'kv-leak') return { kind: 'kv-leak', atNs: durationNs(section.at), blocks: section.blocks };
  if ('at' in section) return { kind: section.kind, atNs: durationNs(section.at), message: section.message };
  const window = { fromNs: durationNs(section.from), toNs: durationNs(section.to) };
  switch (section.kind) {
    case 'slow':
    case 'slow-host':
      return { kind: section.kind, ...window, factor: section.factor };
    case 'hang':
    case 'process-down':
      return { kind: section.kind, ...window };
    case 'failing':
      return { kind: 'failing', ...window, everyNs: durationNs(section.every), message: section.message };
    case 'acceptance':
      return { kind: 'acceptance', ...window, rates: section.rates };
    case 'unhealthy':
      return { kind: 'unhealthy', ...window, gpu: section.gpu ?? null };
  }
}
