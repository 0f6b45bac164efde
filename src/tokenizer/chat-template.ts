import { Template } from '@huggingface/jinja';
import { ChatTemplateError, type ChatTemplateOptions, type TemplateMessage, TokenizerError } from './tokenizer.ts';

/** Special tokens by the names that templates use (bos_token, eos_token, ...). */
export type SpecialTokens = Readonly<Record<string, string>>;

/** Marks where the last message ends, to cut the text there; not a thing that a template changes. */
const END_MARK = 'ZZ-end-of-final-message-ZZ';

/** A model's chat template (Jinja). */
export class ChatTemplate {
  private readonly template: Template;
  private readonly special: SpecialTokens;

  /** Throws TokenizerError when the template is not valid Jinja; `place` is where it was found. */
  constructor(source: string, special: SpecialTokens, place: string) {
    this.special = special;
    try {
      this.template = new Template(source);
    } catch (error) {
      throw new TokenizerError(`${place}: chat template: ${messageOf(error)}`);
    }
  }

  render(messages: readonly TemplateMessage[], options: ChatTemplateOptions): string {
    if (!options.continueFinalMessage) return this.run(messages, options);
    const last = messages[messages.length - 1];
    if (last === undefined) throw new ChatTemplateError('there is no final message to continue');
    const marked = [...messages.slice(0, -1), { ...last, content: last.content + END_MARK }];
    const text = this.run(marked, { ...options, addGenerationPrompt: false });
    const at = text.lastIndexOf(END_MARK);
    if (at < 0)
      throw new ChatTemplateError(
        'the chat template does not keep the final message as it is, so it cannot be continued',
      );
    return text.slice(0, at);
  }

  private run(messages: readonly TemplateMessage[], options: ChatTemplateOptions): string {
    try {
      return this.template.render({
        ...this.special,
        ...options.templateVariables,
        messages: messages as unknown as Record<string, unknown>[],
        tools: options.tools,
        documents: options.documents,
        add_generation_prompt: options.addGenerationPrompt,
      });
    } catch (error) {
      throw new ChatTemplateError(messageOf(error));
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A template puts marks around each message, key and list item. */
const AROUND_VALUE_CHARACTERS = 8;

/**
 * Characters that a template may print, before JSON escapes: every key and value in the messages, at any depth, and in what else
 * the template is given. Counting ends above `max`: the result is then only known to be larger.
 */
export function printedCharacters(
  messages: readonly TemplateMessage[],
  options: ChatTemplateOptions,
  max: number,
): number {
  const { tools, documents, templateVariables } = options;
  // By hand, not by recursion: the arguments of a tool call may nest.
  const open: unknown[] = [messages, tools, documents, templateVariables];
  let characters = 0;
  while (open.length > 0 && characters <= max) {
    const value = open.pop();
    characters += AROUND_VALUE_CHARACTERS;
    if (typeof value === 'string') characters += value.length;
    else if (Array.isArray(value)) {
      characters += value.length * AROUND_VALUE_CHARACTERS;
      if (characters <= max) for (const item of value) open.push(item);
    } else if (typeof value === 'object' && value !== null) {
      for (const key in value) {
        characters += key.length + AROUND_VALUE_CHARACTERS;
        open.push((value as Readonly<Record<string, unknown>>)[key]);
        if (characters > max) break;
      }
    } else characters += String(value).length;
  }
  return characters;
}
