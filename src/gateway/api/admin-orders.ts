import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { STEP_FAILURES } from '../../core/index.ts';
import type { InjectedFault } from '../engine-link.ts';
import { badRequest } from './api-error.ts';

export const AbortSchema = Type.Object(
  {
    request_id: Type.Optional(Type.String({ description: 'id of the answer, or x-request-id of the request' })),
    all: Type.Optional(Type.Boolean({ description: 'every request' })),
  },
  { additionalProperties: false },
);

export const FaultSchema = Type.Union([
  Type.Object({ kind: Type.Enum([...STEP_FAILURES]) }, { additionalProperties: false }),
  Type.Object(
    {
      kind: Type.Literal('slow'),
      factor: Type.Number({ exclusiveMinimum: 0, maximum: 1e6 }),
      seconds: Type.Number({ exclusiveMinimum: 0, maximum: 86_400 }),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      kind: Type.Literal('slow-host'),
      factor: Type.Number({ exclusiveMinimum: 0, maximum: 1e6 }),
      seconds: Type.Number({ exclusiveMinimum: 0, maximum: 86_400 }),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    { kind: Type.Literal('leak-blocks'), blocks: Type.Integer({ minimum: 1, maximum: 1e9 }) },
    { additionalProperties: false },
  ),
  Type.Object({ kind: Type.Literal('wrong-reference') }, { additionalProperties: false }),
  Type.Object(
    {
      kind: Type.Enum(['unhealthy', 'hang', 'hang-thread']),
      seconds: Type.Number({ exclusiveMinimum: 0, maximum: 86_400 }),
    },
    { additionalProperties: false },
  ),
]);

const abort = Compile(AbortSchema);
const fault = Compile(FaultSchema);

/** The request id to end, or null for all. Throws ApiError. */
export function parseAdminAbort(body: unknown): string | null {
  if (abort.Check(body) && (body.request_id === undefined) !== (body.all !== true)) return body.request_id ?? null;
  throw badRequest('request_id', 'allowed: {"request_id": "<id>"} or {"all": true}');
}

/** Throws ApiError. */
export function parseAdminFault(body: unknown): InjectedFault {
  if (fault.Check(body)) return body as InjectedFault;
  throw badRequest(
    'kind',
    'allowed: {"kind": "transient" | "sticky" | "device-lost"}, {"kind": "slow", "factor": > 0, "seconds": > 0}, {"kind": "unhealthy" | "hang" | "hang-thread", "seconds": > 0}, {"kind": "slow-host", "factor": > 0, "seconds": > 0}, {"kind": "leak-blocks", "blocks": >= 1}, {"kind": "wrong-reference"}',
  );
}
