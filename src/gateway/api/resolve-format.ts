import { badRequest } from './api-error.ts';
import type { ChatRequest } from './chat-schema.ts';
import type { OutputFormat, ServedLimits, ToolChoice } from './generation-call.ts';
import { isObject, missing, notAllowed } from './lax-reader.ts';
import { unsupportedByBackend } from './resolve-sampling.ts';

/** Fields that constrain the output. */
interface FormatFields {
  readonly response_format?: Readonly<Record<string, unknown>> | null;
  readonly structured_outputs?: Readonly<Record<string, unknown>> | null;
  readonly guided_json?: unknown;
  readonly guided_regex?: unknown;
  readonly guided_choice?: unknown;
  readonly guided_grammar?: unknown;
}

const GUIDED = ['guided_json', 'guided_regex', 'guided_choice', 'guided_grammar'] as const;

/**
 * What the output is held to.
 * @throws ApiError 400 where it is malformed, and where the backend cannot honour it: never silently plain text
 */
export function resolveFormat(fields: FormatFields, limits: ServedLimits): OutputFormat {
  const constraint = resolveStructured(fields, limits);
  const format = fields.response_format ?? null;
  if (format === null || format['type'] === 'text') return constraint ?? { kind: 'text' };
  if (constraint !== null) {
    throw badRequest('structured_outputs', 'structured_outputs: not together with response_format', 'invalid_value');
  }
  if (format['type'] === 'json_schema') return resolveSchema(format['json_schema'], limits);
  if (format['type'] === 'structural_tag') requireTag(format);
  if (!limits.capabilities.responseFormat) throw unsupportedByBackend('response_format');
  return format['type'] === 'json_object' ? { kind: 'json-object' } : { kind: 'structured', constraint: format };
}

/** What may be done with the tools. @throws ApiError 400 */
export function resolveToolChoice(fields: ChatRequest, limits: ServedLimits): ToolChoice {
  const tools = fields.tools ?? null;
  // Absent and null differ, as in vLLM: only an absent choice becomes auto.
  const choice =
    fields.tool_choice === undefined ? (tools !== null && tools.length > 0 ? 'auto' : 'none') : fields.tool_choice;
  if (choice === null || choice === 'none') return { kind: 'none' };
  if (tools === null)
    throw badRequest('tool_choice', 'tool_choice: needs tools; allowed without: "none"', 'invalid_value');
  if (!limits.capabilities.tools)
    throw unsupportedByBackend(fields.tool_choice === undefined ? 'tools' : 'tool_choice');
  if (typeof choice === 'string') return { kind: choice };
  const name = choice.function.name;
  if (!tools.some((tool) => tool.function.name === name)) {
    throw notAllowed('tool_choice.function.name', name, 'the name of one of the tools');
  }
  return { kind: 'named', name };
}

function resolveStructured(fields: FormatFields, limits: ServedLimits): OutputFormat | null {
  const structured = fields.structured_outputs ?? null;
  const guided = GUIDED.find((name) => (fields[name] ?? null) !== null);
  if (structured === null && guided === undefined) return null;
  const param = structured === null ? guided! : 'structured_outputs';
  if (!limits.capabilities.responseFormat) throw unsupportedByBackend(param);
  if (structured === null)
    return { kind: 'structured', constraint: { [param.replace('guided_', '')]: fields[guided!] } };
  const kinds = ['json', 'regex', 'choice', 'grammar', 'json_object', 'structural_tag'].filter(
    (kind) => (structured[kind] ?? null) !== null,
  );
  if (kinds.length !== 1) {
    throw badRequest(param, `${param}: has ${kinds.length} constraints; allowed: exactly one`, 'invalid_value');
  }
  return { kind: 'structured', constraint: structured };
}

function resolveSchema(schema: unknown, limits: ServedLimits): OutputFormat {
  if (schema === undefined || schema === null)
    throw missing('response_format.json_schema', 'an object with name and schema');
  if (!isObject(schema)) throw notAllowed('response_format.json_schema', schema, 'an object with name and schema');
  const name = schema['name'];
  if (typeof name !== 'string') throw notAllowed('response_format.json_schema.name', name, 'a string');
  const inner = schema['schema'] ?? null;
  if (inner !== null && !isObject(inner))
    throw notAllowed('response_format.json_schema.schema', inner, 'an object or null');
  if (!limits.capabilities.responseFormat) throw unsupportedByBackend('response_format');
  return { kind: 'json-schema', name, schema: inner };
}

/** The new form has a format, the old one structures and triggers (`vllm/entrypoints/openai/engine/protocol.py`). */
function requireTag(format: Readonly<Record<string, unknown>>): void {
  if (format['format'] !== undefined) return;
  if (Array.isArray(format['structures']) && Array.isArray(format['triggers'])) return;
  throw missing('response_format.format', 'a structural tag (or lists structures and triggers)');
}
