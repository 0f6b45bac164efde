import { badRequest, unsupportedParameter } from './api-error.ts';
import type { ChatMessage, ServedLimits } from './generation-call.ts';
import { requireWithin } from './json-body.ts';
import { assertWellFormed, isObject, kindOf, missing, notAllowed } from './lax-reader.ts';

/**
 * The messages of a chat in the form that templates read: text parts are joined by line breaks and the arguments of tool
 * calls are objects, as vLLM hands them over (`vllm/entrypoints/chat_utils.py`). Any role is taken: templates decide.
 * @throws ApiError 400 with the message's path; its text is never in the error
 */
export function parseMessages(messages: unknown, limits: ServedLimits): readonly ChatMessage[] {
  if (messages === undefined) throw missing('messages', 'a list of messages');
  if (!Array.isArray(messages)) throw notAllowed('messages', messages, 'a list of messages', true);
  if (messages.length > limits.messagesMax) {
    throw notAllowed('messages', messages, `at most ${limits.messagesMax} messages`, true);
  }
  return messages.map((message: unknown, index) => parseMessage(message, `messages.${index}`, limits));
}

function parseMessage(message: unknown, path: string, limits: ServedLimits): ChatMessage {
  if (!isObject(message)) throw notAllowed(path, message, 'an object', true);
  const role = message['role'];
  if (role === undefined) throw missing(`${path}.role`, 'a string');
  if (typeof role !== 'string' || role === '') throw notAllowed(`${path}.role`, role, 'a non-empty string', true);
  assertWellFormed(role, `${path}.role`);
  const name = optionalText(message, 'name', path);
  const toolCallId = optionalText(message, 'tool_call_id', path);
  const reasoning = optionalText(message, 'reasoning_content', path);
  const toolCalls = parseToolCalls(message['tool_calls'], `${path}.tool_calls`, limits);
  return {
    role,
    content: parseContent(message['content'], `${path}.content`, MAY_BE_NULL.has(role)),
    ...(name === null ? {} : { name }),
    ...(toolCalls === null ? {} : { tool_calls: toolCalls }),
    ...(toolCallId === null ? {} : { tool_call_id: toolCallId }),
    ...(reasoning === null ? {} : { reasoning_content: reasoning }),
  };
}

function optionalText(message: Readonly<Record<string, unknown>>, field: string, path: string): string | null {
  const value = message[field];
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') throw notAllowed(`${path}.${field}`, value, 'a string', true);
  assertWellFormed(value, `${path}.${field}`);
  return value;
}

/** Roles whose content may be null: what was said is a call. */
const MAY_BE_NULL: ReadonlySet<string> = new Set(['assistant', 'function']);

function parseContent(content: unknown, path: string, mayBeNull: boolean): string {
  if (content === undefined || (content === null && mayBeNull)) return '';
  if (typeof content === 'string') {
    assertWellFormed(content, path);
    return content;
  }
  if (!Array.isArray(content)) throw notAllowed(path, content, 'a string or a list of text parts', true);
  const texts = content.map((part: unknown, index) => parsePart(part, `${path}.${index}`));
  return texts.filter((text) => text !== null).join('\n');
}

/** Parts whose only content is a text, and the field that holds it. */
const TEXT_PARTS: ReadonlyMap<string, string> = new Map([
  ['text', 'text'],
  ['input_text', 'text'],
  ['output_text', 'text'],
  ['refusal', 'refusal'],
  ['thinking', 'thinking'],
]);

/** A part's text; null if the part has none, which adds nothing, as in vLLM. */
function parsePart(part: unknown, path: string): string | null {
  if (typeof part === 'string') {
    assertWellFormed(part, path);
    return part;
  }
  if (!isObject(part)) throw notAllowed(path, part, 'a string or an object with a type', true);
  const type = part['type'] ?? inferredType(part);
  if (typeof type !== 'string') throw notAllowed(`${path}.type`, type, 'a string: text', true);
  const field = TEXT_PARTS.get(type);
  if (field === undefined) {
    const shownType = /^[a-z_]{1,40}$/.test(type) ? `"${type}"` : 'of an unknown type';
    const message = `${path}.type: parts ${shownType} are not served by this model; allowed: "text"`;
    throw unsupportedParameter(`${path}.type`, message);
  }
  const text = part[field];
  if (text === undefined || text === null) return null;
  if (typeof text !== 'string') throw notAllowed(`${path}.${field}`, text, 'a string', true);
  assertWellFormed(text, `${path}.${field}`);
  return text;
}

/** vLLM takes parts without a type and looks at what they hold. */
function inferredType(part: Readonly<Record<string, unknown>>): string | undefined {
  const known = ['text', 'refusal', 'image_url', 'image_embeds', 'input_audio', 'audio_url', 'video_url', 'file'];
  return known.find((name) => Object.hasOwn(part, name));
}

function parseToolCalls(calls: unknown, path: string, limits: ServedLimits): readonly unknown[] | null {
  if (calls === undefined || calls === null) return null;
  if (!Array.isArray(calls)) throw notAllowed(path, calls, 'a list of tool calls', true);
  return calls.map((call: unknown, index) => parseToolCall(call, `${path}.${index}`, limits));
}

function parseToolCall(call: unknown, path: string, limits: ServedLimits): unknown {
  if (!isObject(call)) throw notAllowed(path, call, 'an object', true);
  const called = call['function'];
  if (!isObject(called)) throw notAllowed(`${path}.function`, called, 'an object with name and arguments', true);
  if (typeof called['name'] !== 'string') throw notAllowed(`${path}.function.name`, called['name'], 'a string', true);
  return {
    ...call,
    function: { ...called, arguments: parseArguments(called['arguments'], `${path}.function.arguments`, limits) },
  };
}

/** How deep the JSON in a tool call's arguments may nest: templates walk it by recursion. */
const ARGUMENTS_DEPTH_MAX = 64;

function parseArguments(text: unknown, path: string, limits: ServedLimits): unknown {
  if (text === undefined || text === null || text === '') return {};
  if (isObject(text)) return text;
  if (typeof text !== 'string') throw notAllowed(path, text, 'a string with a JSON object', true);
  requireWithin(text, { ...limits, depthMax: ARGUMENTS_DEPTH_MAX }, path);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw badRequest(
      path,
      `${path}: is no JSON; allowed: a string with a JSON object (got ${kindOf(text)})`,
      'invalid_value',
    );
  }
}
