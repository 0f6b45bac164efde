import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Span } from '../../../src/observability/spans/index.ts';
import { otlpJson } from '../../../src/observability/spans/otlp-json.ts';
import { otlpSpan } from '../../../src/runtime/tracing/otlp-spans.ts';

const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`));
const attribute = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.boolean(),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.array(fc.string(), { maxLength: 3 }),
);
const span: fc.Arbitrary<Span> = fc.record({
  name: fc.constantFrom('gateway.request' as const, 'gpu.compute' as const),
  kind: fc.constantFrom('server' as const, 'internal' as const),
  traceId: hex(32),
  spanId: hex(16),
  parentSpanId: fc.option(hex(16)),
  parentIsRemote: fc.boolean(),
  startNs: fc.integer({ min: 0, max: 1e15 }),
  endNs: fc.integer({ min: 0, max: 1e15 }),
  attributes: fc.dictionary(fc.constantFrom('a', 'gen_ai.b', 'c_d'), attribute, { maxKeys: 3, noNullPrototype: true }),
  failed: fc.boolean(),
});

describe('OTLP/JSON', () => {
  it("is what OpenTelemetry's own serializer writes", () => {
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 5 }), fc.nat({ max: 2e9 }), (spans, epochSeconds) => {
        const resource = { 'service.name': 'twinfer', 'twinfer.scenario': 'an "odd" one' };
        const ours = JSON.parse(otlpJson(spans, { resource, version: '1.2.3', epochSeconds }));
        const origin = { resource: resourceFromAttributes(resource), version: '1.2.3', epochMs: 1000 * epochSeconds };
        const theirs = JsonTraceSerializer.serializeRequest(spans.map((each) => otlpSpan(each, origin)));
        expect(ours).toEqual(JSON.parse(new TextDecoder().decode(theirs)));
      }),
    );
  });
});
