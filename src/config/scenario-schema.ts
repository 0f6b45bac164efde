import { z } from 'zod';
import { alertsSchema } from './alerts-schema.ts';
import { engineSchema, speculationSchema } from './engine-schema.ts';
import { faultSchema } from './fault-schema.ts';
import { targetSchema } from './target-schema.ts';
import { timingSchema } from './timing-schema.ts';
import { duration } from './units.ts';
import { workloadSchema } from './workload-schema.ts';

const modelSchema = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .describe('Name in the built-in catalogue; with config or config_file only a label')
      .optional(),
    config_file: z
      .string()
      .min(1)
      .describe('config.json of a Hugging Face repository, relative to the scenario')
      .optional(),
    config: z.record(z.string(), z.unknown()).describe('Contents of such a config.json').optional(),
    weights: z
      .enum(['bf16', 'fp8'])
      .describe('Format of the weights; without it what the configuration says')
      .optional(),
    kv_cache: z.enum(['bf16', 'fp8']).describe('Format of the KV cache').optional(),
  })
  .refine((model) => (model.config_file === undefined) !== (model.config === undefined) || model.name !== undefined, {
    error: 'a model needs name, config_file or config',
  })
  .refine((model) => model.config_file === undefined || model.config === undefined, {
    error: 'a model takes config_file or config, not both',
  })
  .describe('What is served');

const deviceSchema = z
  .strictObject({
    name: z.string().min(1).describe('Name of a built-in device, such as h100-sxm-80gb'),
    tensor_parallel_size: z.int().min(1).max(64).describe('Devices over which each layer is divided').default(1),
    gpu_memory_utilization: z
      .number()
      .positive()
      .max(1)
      .describe('Share of the memory of each device that the engine may use')
      .default(0.9),
  })
  .describe('What it is served on');

const limitsSchema = z
  .strictObject({
    duration: duration('Requests that arrive later are left out').optional(),
    requests: z
      .int()
      .min(1)
      .max(2 ** 31)
      .describe('Requests at most')
      .optional(),
  })
  .describe('Where the run ends');

/** A scenario: everything that decides a run. Unknown keys fail, also in nested sections. */
export const scenarioSchema = z
  .strictObject({
    $schema: z.string().describe('Ignored; editors read it').optional(),
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]*$/)
      .meta({ allowed: 'lower-case letters, digits, dots and dashes' })
      .describe('Name in results'),
    description: z.string().min(1).describe('What the scenario is about, one or two sentences'),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .describe('Seed of arrivals, lengths and everything else that is drawn')
      .default(1),
    model: modelSchema,
    device: deviceSchema,
    timing: timingSchema.default({}),
    engine: engineSchema.default({ profile: 'twinfer' }),
    speculation: speculationSchema.optional(),
    workload: workloadSchema,
    targets: z.array(targetSchema).max(100).describe('What the run has to reach').default([]),
    faults: z.array(faultSchema).max(1000).describe('Troubles of the device, at given times').default([]),
    limits: limitsSchema.default({}),
    alerts: alertsSchema.optional(),
  })
  .describe('A scenario of Twinfer: model, device, engine, workload, targets, faults');

export type Scenario = z.output<typeof scenarioSchema>;
