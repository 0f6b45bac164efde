import type { TSchema } from 'typebox';
import { Errors } from 'typebox/value';

/** The OpenAPI document of a server, as far as tests read it. */
export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, TSchema>> };
}

interface Operation {
  readonly security: readonly unknown[];
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: Ref }>> }>
  >;
}

interface Ref {
  readonly $ref?: string;
  readonly anyOf?: readonly Ref[];
}

export interface Answer {
  readonly status: number;
  /** Content-Type. */
  readonly type: string;
  readonly body: unknown;
}

export async function openApiOf(url: string): Promise<OpenApiDocument> {
  return (await (await fetch(`${url}/openapi.json`)).json()) as OpenApiDocument;
}

/** What the document has for a request; null where it has nothing, as for paths that do not exist. HEAD is what GET is. */
export function operationOf({ paths }: OpenApiDocument, method: string, path: string): Operation | null {
  const name = method === 'HEAD' ? 'get' : method.toLowerCase();
  const plain = path.split('?', 1)[0]!;
  const fits = ([template]: readonly [string, unknown]) =>
    new RegExp(`^${template.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`).test(plain);
  return Object.entries(paths).find(fits)?.[1]?.[name] ?? null;
}

/** What is wrong with an answer by the document: nothing where the document has no such operation. */
export function undocumented(document: OpenApiDocument, method: string, path: string, answer: Answer): string[] {
  const operation = operationOf(document, method, path);
  if (operation === null) return [];
  const media = answer.type.split(';', 1)[0]!;
  const schema = operation.responses[String(answer.status)]?.content[media]?.schema;
  if (schema === undefined) return [`${method} ${path.slice(0, 80)}: ${answer.status} ${media} is not documented`];
  const problems = (schema.anyOf ?? [schema]).map(({ $ref }) => {
    if ($ref === undefined) return [];
    const found = Errors(document.components.schemas[$ref.split('/').at(-1)!]!, answer.body);
    return found.map(({ instancePath, message }) => `${instancePath} ${message}`);
  });
  return problems.some((each) => each.length === 0) ? [] : problems.flat();
}
