import { describe, expect, it } from 'vitest';
import { ChatRequestSchema } from '../../../src/gateway/api/chat-schema.ts';
import { CompletionRequestSchema, GenerateRequestSchema } from '../../../src/gateway/api/completion-schema.ts';
import { openApiDocument } from '../../../src/gateway/api/index.ts';
import {
  DetokenizeRequestSchema,
  TokenizeContentSchema,
  TokenizeRequestSchema,
} from '../../../src/gateway/api/tokenize-schema.ts';

interface Document {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly properties?: Record<string, { description?: string }> }>>;
  };
}

interface Operation {
  readonly operationId: string;
  readonly security: readonly unknown[];
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}

const document = openApiDocument({ version: '1.2.3' }) as Document;

const REQUESTS = [
  ['ChatCompletionRequest', ChatRequestSchema],
  ['CompletionRequest', CompletionRequestSchema],
  ['GenerateRequest', GenerateRequestSchema],
  ['TokenizeRequest', TokenizeRequestSchema],
  ['TokenizeContentRequest', TokenizeContentSchema],
  ['DetokenizeRequest', DetokenizeRequestSchema],
] as const;

describe('the OpenAPI document', () => {
  it('is plain JSON of OpenAPI 3.1 with the version of the server', () => {
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
    expect(document.openapi).toBe('3.1.0');
    expect(document.info.version).toBe('1.2.3');
  });

  it.each(REQUESTS)('%s has every field that bodies are read by, each with its meaning', (name, schema) => {
    const written = document.components.schemas[name]!.properties!;
    expect(Object.keys(written)).toEqual(Object.keys(schema.properties));
    const silent = Object.keys(written).filter(
      (field) => (written[field]!.description ?? '') === '' && field !== 'messages',
    );
    expect(silent.filter((field) => field !== 'prompt')).toEqual([]);
  });

  it('has no reference to a schema that it lacks, and no schema that nothing refers to', () => {
    const names = new Set(
      [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)].map((match) => match[1]!),
    );
    // Usage is part of the answers by value.
    expect([...names, 'Usage'].sort()).toEqual(Object.keys(document.components.schemas).sort());
  });

  it('lists the endpoints that the server has', () => {
    const paths = Object.keys(document.paths);
    for (const path of [
      '/v1/chat/completions',
      '/v1/completions',
      '/v1/models',
      '/v1/embeddings',
      '/generate',
      '/tokenize',
      '/detokenize',
      '/health',
      '/health/live',
      '/metrics',
      '/version',
      '/load',
      '/admin/abort',
      '/admin/drain',
      '/admin/reset_prefix_cache',
      '/admin/faults',
    ]) {
      expect(paths).toContain(path);
    }
  });

  it('gives every operation an id of its own, a described answer and, unless it is open, security', () => {
    const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { responses } of operations) {
      expect(Object.keys(responses).length).toBeGreaterThan(0);
      for (const { description } of Object.values(responses)) expect(description).not.toBe('');
    }
    expect(document.paths['/health']!['get']!.security).toEqual([]);
    expect(document.paths['/v1/completions']!['post']!.security).toHaveLength(2);
  });

  it('makes two documents that are equal and share nothing', () => {
    const other = openApiDocument({ version: '1.2.3' }) as Document;
    expect(other).toEqual(document);
    expect(other.components.schemas).not.toBe(document.components.schemas);
  });
});
