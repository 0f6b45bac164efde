import { ChatTemplateError, TokenizerBusyError } from '../../tokenizer/index.ts';
import { KEY, type RouteRegistry } from '../access.ts';
import { idList } from '../answer/answer-shape.ts';
import { LazyList, LazyText, sendJson } from '../answer/json-pieces.ts';
import {
  badRequest,
  notFoundModel,
  notImplemented,
  overloaded,
  type PromptInput,
  parseDetokenize,
  parseTokenize,
  type TokenizeCall,
} from '../api/index.ts';
import type { GatewayContext } from '../context.ts';
import { requireTokensWithin } from '../limits/request-budget.ts';

export function modelRoutes(app: RouteRegistry, context: GatewayContext): void {
  const { served, tokenizer } = context;
  const created = context.epochSeconds();
  const card = (id: string) => ({
    id,
    object: 'model',
    created,
    owned_by: 'twinfer',
    root: served.modelNames[0]!,
    parent: null,
    max_model_len: served.modelLenMax,
    permission: [],
  });

  app.get('/v1/models', KEY, async () => ({ object: 'list', data: served.modelNames.map(card) }));

  app.get<{ Params: { '*': string } }>('/v1/models/*', KEY, async (request) => {
    const id = request.params['*'];
    if (served.modelNames.includes(id)) return card(id);
    throw notFoundModel(id, served.modelNames);
  });

  app.post('/v1/embeddings', KEY, async () => {
    throw notImplemented('embeddings are not served: the models here generate text; use a server for embedding models');
  });

  app.post('/tokenize', KEY, async (request, reply) => {
    const call = parseTokenize(request.body, served);
    const ids = await encodePrompt(context, call.prompt, call.addSpecialTokens);
    requireTokensWithin(fieldWithTexts(call), ids.length, served);
    if (call.shape === 'llama.cpp') {
      const piece = (index: number) => ({ id: ids[index]!, piece: tokenizer.pieceText(ids[index]!) });
      const tokens = call.withPieces ? new LazyList(ids.length, () => piece) : idList(ids);
      return sendJson(reply, { tokens }, ids.length);
    }
    const text = (index: number) => tokenizer.pieceText(ids[index]!);
    const strings = call.returnTokenStrings ? { token_strs: new LazyList(ids.length, () => text) } : {};
    const body = { count: ids.length, max_model_len: served.modelLenMax, tokens: idList(ids), ...strings };
    return sendJson(reply, body, ids.length);
  });

  app.post('/detokenize', KEY, async (request, reply) => {
    const call = parseDetokenize(request.body, served);
    const text = new LazyText(call.ids, tokenizer, false);
    return sendJson(reply, call.shape === 'llama.cpp' ? { content: text } : { prompt: text }, call.ids.length);
  });
}

/** The field by which the tokens' texts were asked for. */
function fieldWithTexts(call: TokenizeCall): 'with_pieces' | 'return_token_strs' | null {
  if (call.shape === 'llama.cpp') return call.withPieces ? 'with_pieces' : null;
  return call.returnTokenStrings ? 'return_token_strs' : null;
}

/**
 * Token ids of a prompt in any of its shapes.
 * @throws ApiError 400: the chat template refuses the messages, or there is none; 503: too many prompts wait for a tokenizer
 */
export async function encodePrompt(
  context: GatewayContext,
  prompt: PromptInput,
  addSpecialTokens: boolean,
): Promise<Int32Array> {
  try {
    if (prompt.kind === 'tokens') return prompt.ids;
    if (prompt.kind === 'text') return await context.pool.encode(prompt.text, addSpecialTokens);
    if (!context.tokenizer.hasChatTemplate) {
      throw badRequest('messages', 'messages: the model has no chat template; use /v1/completions');
    }
    return await context.pool.encodeChat(prompt.messages, prompt.options);
  } catch (error) {
    if (error instanceof TokenizerBusyError) throw overloaded('tokenizer_busy', error.message, BUSY_RETRY_MS);
    if (error instanceof ChatTemplateError) {
      throw badRequest(
        'messages',
        `messages: the chat template refuses them: ${error.message.slice(0, 200)}`,
        'invalid_value',
      );
    }
    throw error;
  }
}

/** Tokenising is quick: what waits is soon gone. */
const BUSY_RETRY_MS = 1000;
