import { describe, expect, it } from 'vitest';
import { parseServe } from '../../src/config/load-serve.ts';
import { tracingOf } from '../../src/config/tracing-config.ts';

const DEFAULTS = {
  endpoint: null,
  protocol: 'http/protobuf',
  sampleRatio: 0.1,
  slowTtftMs: 300,
  userId: false,
  tokenIds: false,
  queueSpansMax: 16_384,
};
const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };

function tracing(text: string, environment: Record<string, string> = {}) {
  return tracingOf(parseServe(text, 'serve.yaml'), environment);
}

describe('traces', () => {
  it.each([
    ['nobody asks', '{}', {}, null],
    ['the environment names a collector', '{}', ENDPOINT, DEFAULTS],
    ['... an empty one', '{}', { OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }, null],
    ['... one of traces alone', '{}', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c/v1/traces' }, DEFAULTS],
    ['the file says no', 'tracing: {enabled: false}', ENDPOINT, null],
    ['the file says yes', 'tracing: {enabled: true}', {}, DEFAULTS],
    ['exporters are off', '{}', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }, null],
    ['the SDK is off', 'tracing: {enabled: true}', { OTEL_SDK_DISABLED: 'true' }, null],
    [
      'a sampler is named',
      '{}',
      { ...ENDPOINT, OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' },
      { ...DEFAULTS, sampleRatio: 0.5 },
    ],
    ['... always', '{}', { ...ENDPOINT, OTEL_TRACES_SAMPLER: 'always_on' }, { ...DEFAULTS, sampleRatio: 1 }],
    [
      'the file goes before it',
      'tracing: {sample_ratio: 0.2}',
      { ...ENDPOINT, OTEL_TRACES_SAMPLER: 'always_on' },
      { ...DEFAULTS, sampleRatio: 0.2 },
    ],
    [
      'a protocol is named',
      '{}',
      { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      { ...DEFAULTS, protocol: 'grpc' },
    ],
  ] as const)('when %s', (_what, text, environment, expected) => {
    expect(tracing(text, environment)).toEqual(expected);
  });

  it('are as the file says', () => {
    const text = `
tracing:
  endpoint: http://127.0.0.1:4318
  protocol: http/json
  sample_ratio: 0.25
  slow_ttft: 1500ms
  user_id: true
  token_ids: true
  max_queue: 1000
`;
    expect(tracing(text)).toEqual({
      endpoint: 'http://127.0.0.1:4318',
      protocol: 'http/json',
      sampleRatio: 0.25,
      slowTtftMs: 1500,
      userId: true,
      tokenIds: true,
      queueSpansMax: 1000,
    });
  });

  it.each([
    ['tracing: {endpiont: "http://x"}', {}, /endpiont/],
    ['tracing: {endpoint: "collector:4318"}', {}, /allowed: a base address such as/],
    ['tracing: {sample_ratio: 2}', {}, /sample_ratio.*allowed/],
    ['tracing: {max_queue: 1}', {}, /max_queue.*allowed/],
    [
      'tracing: {enabled: true}',
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'udp' },
      /OTEL_EXPORTER_OTLP_PROTOCOL=udp.*http\/protobuf/,
    ],
    [
      'tracing: {enabled: true}',
      { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: 'x' },
      /ARG=x.*\[0, 1\]/,
    ],
  ] as const)('%s with %j is an error that says what is allowed', (text, environment, message) => {
    expect(() => tracing(text, environment)).toThrow(message);
  });
});
