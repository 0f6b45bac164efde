/** A body that is JSON and wrong in one field: what is added to a good one, as JSON text (JSON.parse reads 1e400 as Infinity). */
export interface BadBody {
  readonly endpoint: '/v1/chat/completions' | '/v1/completions' | '/generate' | '/tokenize' | '/detokenize';
  readonly patch: string;
  readonly status: number;
  readonly param: string | null;
  readonly code: string | undefined;
}

type Row = readonly [field: string, values: readonly string[], code?: string, param?: string];

const many = (count: number, of: (index: number) => string) =>
  Array.from({ length: count }, (_none, index) => of(index)).join(',');

/** Wrong in every generation endpoint. */
const SHARED: readonly Row[] = [
  ['model', ['5', '{}', '["m"]', 'true']],
  ['temperature', ['"hot"', '""', '-0.1', '1e400', '-1e400', '[]', '{}', '[1]', '"nan"', '"inf"', '"1,5"']],
  ['top_p', ['0', '1.0001', '-1', '"x"', '[]', '1e400']],
  ['top_k', ['-2', '1.5', '"x"', '"1e3"', '1e400', '{}']],
  ['min_p', ['-0.1', '1.1', '"x"', '{}']],
  ['presence_penalty', ['2.1', '-3', '"x"', '[2]', '1e400']],
  ['frequency_penalty', ['2.0001', '-2.1', '"x"', '{}']],
  ['repetition_penalty', ['0', '-1', '1e400', '"x"']],
  ['n', ['0', '-1', '1.5', '"two"', '1000000', '[1]', '9007199254740993', '1e400']],
  ['seed', ['1.5', '9223372036854775808', '-1e30', '"x"', '{}', '1e400']],
  ['stop', ['""', '["a",""]', '5', '{}', 'true', `[${many(1000, () => '"a"')}]`, `"${'x'.repeat(5000)}"`]],
  ['stop', ['[5]', '[null]', '["\\ud800"]'], 'invalid_value', 'stop.0'],
  ['stop_token_ids', ['5', '{}', '"1"', `[${many(5000, String)}]`]],
  ['stop_token_ids', ['["a"]', '[1.5]', '[null]', '[[1]]', '[1e400]'], 'invalid_value', 'stop_token_ids.0'],
  [
    'logit_bias',
    ['[1]', '5', '{"a":1}', '{"1.5":1}', '{"-1":1}', '{"99999999":1}', '{"":1}', `{${many(5000, (i) => `"${i}":1`)}}`],
  ],
  ['logit_bias', ['{"5":"x"}', '{"5":null}', '{"5":1e400}', '{"5":[]}'], 'invalid_value', 'logit_bias.5'],
  ['logit_bias', ['{"__proto__":1}'], 'invalid_json', ''],
  ['min_tokens', ['-1', '"x"', 'null', '1.5', '5', '1e400']],
  ['max_tokens', ['-1', '1.5', '"x"', '[]', '{}', '1e400', '9007199254740993']],
  ['stream', ['"x"', '2', '[]', '{}', '"maybe"']],
  ['stream_options', ['5', '"x"', '[]']],
  ['ignore_eos', ['null', '2', '"x"', '[]']],
  ['include_stop_str_in_output', ['null', '"x"']],
  ['skip_special_tokens', ['null', '2', '"x"']],
  ['priority', ['1.5', '"x"', 'null', '1e400', '[]']],
  ['cache_salt', ['""', '5', '[]', '"\\udfff"']],
  ['user', ['5', '{}', '["u"]', '"\\ud800x"']],
  ['request_id', ['null', '5', '[]']],
  ['prompt_logprobs', ['-2', '1.5', '"x"', '"5"', '1000', '-1']],
  ['truncate_prompt_tokens', ['-2', '1.5', '"x"']],
  ['return_token_ids', ['"x"', '5', '[]']],
  ['response_format', ['"json"', '5', '[]']],
  ['response_format', ['{"type":"xml"}', '{"type":5}'], 'invalid_value', 'response_format.type'],
  ['response_format', ['{}'], 'missing_required_parameter', 'response_format.type'],
  ['response_format', ['{"type":"json_schema"}'], 'missing_required_parameter', 'response_format.json_schema'],
  ['response_format', ['{"type":"json_schema","json_schema":{}}'], 'invalid_value', 'response_format.json_schema.name'],
  [
    'response_format',
    ['{"type":"json_object"}', '{"type":"json_schema","json_schema":{"name":"a"}}'],
    'unsupported_parameter',
  ],
  ['response_format', ['{"type":"structural_tag"}'], 'missing_required_parameter', 'response_format.format'],
  [
    'response_format',
    ['{"type":"json_schema","json_schema":{"name":"a","schema":5}}'],
    'invalid_value',
    'response_format.json_schema.schema',
  ],
  ['structured_outputs', ['{"regex":"a+"}'], 'unsupported_parameter'],
  ['structured_outputs', ['5', '"a"', '[]']],
  ['structured_outputs', ['{"choice":"a"}'], 'invalid_value', 'structured_outputs.choice'],
  ['guided_json', ['{"type":"object"}'], 'unsupported_parameter'],
  ['guided_regex', ['"a+"'], 'unsupported_parameter'],
  ['guided_choice', ['["a"]'], 'unsupported_parameter'],
  ['allowed_token_ids', ['[1]', '[]'], 'unsupported_parameter'],
  ['allowed_token_ids', ['5', '"1"', '{}']],
  ['bad_words', ['["a"]'], 'unsupported_parameter'],
  ['bad_words', ['5', '"a"']],
  ['use_beam_search', ['true', '"yes"'], 'unsupported_parameter'],
  ['use_beam_search', ['null', '2']],
  ['logits_processors', ['["x"]'], 'unsupported_parameter'],
  ['kv_transfer_params', ['{"do_remote_prefill":true}'], 'unsupported_parameter'],
];

const CHAT: readonly Row[] = [
  ['messages', ['"hi"', '5', 'null', '{}', 'true']],
  ['messages', ['[5]', '["hi"]', '[null]', '[[]]'], 'invalid_value', 'messages.0'],
  ['messages', ['[{}]', '[{"content":"hi"}]'], 'missing_required_parameter', 'messages.0.role'],
  ['messages', ['[{"role":5}]', '[{"role":""}]', '[{"role":null,"content":"x"}]'], 'invalid_value', 'messages.0.role'],
  [
    'messages',
    [
      '[{"role":"user","content":5}]',
      '[{"role":"user","content":{}}]',
      '[{"role":"user","content":null}]',
      '[{"role":"user","content":true}]',
      '[{"role":"user","content":"\\ud800"}]',
    ],
    'invalid_value',
    'messages.0.content',
  ],
  [
    'messages',
    ['[{"role":"user","content":[5]}]', '[{"role":"user","content":[null]}]'],
    'invalid_value',
    'messages.0.content.0',
  ],
  [
    'messages',
    ['[{"role":"user","content":[{}]}]', '[{"role":"user","content":[{"type":5}]}]'],
    'invalid_value',
    'messages.0.content.0.type',
  ],
  [
    'messages',
    ['image_url', 'input_audio', 'audio_url', 'video_url', 'file', 'nope'].map(
      (type) => `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"${type}"}]}]`,
    ),
    'unsupported_parameter',
    'messages.0.content.1.type',
  ],
  [
    'messages',
    ['[{"role":"user","content":[{"image_url":{"url":"x"}}]}]'],
    'unsupported_parameter',
    'messages.0.content.0.type',
  ],
  [
    'messages',
    ['[{"role":"user","content":[{"type":"text","text":5}]}]'],
    'invalid_value',
    'messages.0.content.0.text',
  ],
  ['messages', ['[{"role":"user","content":"a"},{"role":"user","name":5}]'], 'invalid_value', 'messages.1.name'],
  ['messages', ['[{"role":"tool","content":"a","tool_call_id":5}]'], 'invalid_value', 'messages.0.tool_call_id'],
  ['messages', ['[{"role":"assistant","tool_calls":5}]'], 'invalid_value', 'messages.0.tool_calls'],
  ['messages', ['[{"role":"assistant","tool_calls":[5]}]'], 'invalid_value', 'messages.0.tool_calls.0'],
  ['messages', ['[{"role":"assistant","tool_calls":[{}]}]'], 'invalid_value', 'messages.0.tool_calls.0.function'],
  [
    'messages',
    ['[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}]'],
    'invalid_value',
    'messages.0.tool_calls.0.function.arguments',
  ],
  ['max_tokens', ['0']],
  ['max_completion_tokens', ['-1', '1.5', '"x"', '1e400']],
  ['logprobs', ['"x"', '5', '[]']],
  ['top_logprobs', ['5', '-1', '-2', '1.5', '"x"', '20']],
  ['tools', ['5', '{}', '"f"']],
  ['tools', ['[5]', '["f"]'], 'invalid_value', 'tools.0'],
  ['tools', ['[{"type":"function"}]'], 'missing_required_parameter', 'tools.0.function'],
  ['tools', ['[{"type":"function","function":{}}]'], 'missing_required_parameter', 'tools.0.function.name'],
  [
    'tools',
    ['[{"type":"function","function":{"name":""}}]', '[{"type":"function","function":{"name":5}}]'],
    'invalid_value',
    'tools.0.function.name',
  ],
  ['tools', ['[{"type":"function","function":{"name":"f"}}]'], 'unsupported_parameter'],
  ['tool_choice', ['"auto"', '"required"', '"x"', '5', '[]']],
  [
    'tool_choice',
    ['"auto","tools":[{"function":{"name":"f"}}]', '"required","tools":[{"function":{"name":"f"}}]'],
    'unsupported_parameter',
  ],
  ['reasoning_effort', ['"extreme"', '5']],
  ['echo', ['null', '"x"']],
  ['add_generation_prompt', ['null', '5']],
  ['continue_final_message', ['true,"add_generation_prompt":true', '5']],
  ['chat_template', ['"{{ messages }}"'], 'unsupported_parameter'],
  ['chat_template', ['5']],
  ['chat_template_kwargs', ['5', '[]', '{"messages":[]}', '{"__class__":1}']],
  ['documents', ['5', '{}']],
  ['stream', ['true,"prompt_logprobs":1'], 'invalid_value', 'prompt_logprobs'],
  ['stream_options', ['{"include_usage":true}']],
  ['stream', ['true,"stream_options":{"include_usage":5}'], 'invalid_value', 'stream_options.include_usage'],
];

const COMPLETION: readonly Row[] = [
  ['prompt', ['5', 'null', '{}', 'true']],
  ['prompt', ['""'], 'empty_prompt'],
  ['prompt', ['"a\\ud800"']],
  ['prompt', ['["a","\\udc00"]'], 'invalid_value', 'prompt.1'],
  [
    'prompt',
    ['[1,"a"]', '[1,-1]', '[1,1.5]', '[1,null]', '[1,99999999]', '[1,1e400]', '[1,[2]]'],
    'invalid_value',
    'prompt.1',
  ],
  ['prompt', ['["a",1,[2]]'], 'invalid_value', 'prompt.0'],
  ['prompt', ['[[1],[-1]]', '[[1],["a"]]', '[[1],[1.5]]', '[[1],[[1]]]'], 'invalid_value', 'prompt.1.0'],
  ['prompt', [`[${many(5000, () => '"a"')}]`]],
  ['logprobs', ['-1', '1.5', '"x"', '1000', '[]']],
  ['max_tokens', ['0']],
  ['max_tokens', ['0,"echo":true,"min_tokens":1'], 'invalid_value', 'min_tokens'],
  ['suffix', ['"b"'], 'unsupported_parameter'],
  ['suffix', ['5']],
  ['prompt_embeds', ['"AAAA"'], 'unsupported_parameter'],
  ['echo', ['"x"', '5']],
  ['add_special_tokens', ['null', '"x"']],
  ['stream', ['true,"prompt_logprobs":-1'], 'invalid_value', 'prompt_logprobs'],
];

const GENERATE: readonly Row[] = [
  ['prompt', ['5', 'null', '{}', '"\\ud800"']],
  ['prompt', ['["a"]', '[[1]]'], 'invalid_value', 'prompt.0'],
  ['prompt', ['""'], 'empty_prompt'],
  ['user_id', ['5', '{}']],
  ['logprobs', ['-1', '"x"']],
];

const TOKENIZE: readonly Row[] = [
  ['prompt', ['5', 'null', '["a"]', '"\\ud800"']],
  ['content', ['5', 'null', '["a"]', '"\\udfff"']],
  ['messages', ['5', '"hi"']],
  ['messages', ['[5]'], 'invalid_value', 'messages.0'],
  ['prompt', ['"a","messages":[]']],
  ['prompt', ['"a","add_special_tokens":"x"'], 'invalid_value', 'add_special_tokens'],
  ['content', ['"a","add_special":5'], 'invalid_value', 'add_special'],
  ['content', ['"a","parse_special":false'], 'unsupported_parameter', 'parse_special'],
];

const DETOKENIZE: readonly Row[] = [
  ['tokens', ['5', '"1"', '{}', 'null']],
  ['tokens', ['[-1]', '[1.5]', '["a"]', '[null]', '[99999999]', '[[1]]'], 'invalid_value', 'tokens.0'],
];

const MISSING: readonly BadBody[] = [
  { endpoint: '/tokenize', patch: '"model":null', status: 400, param: 'prompt', code: 'missing_required_parameter' },
  { endpoint: '/detokenize', patch: '"model":null', status: 400, param: 'tokens', code: 'missing_required_parameter' },
  { endpoint: '/tokenize', patch: '"model":"nope","prompt":"a"', status: 404, param: 'model', code: 'model_not_found' },
  {
    endpoint: '/detokenize',
    patch: '"model":"nope","tokens":[1]',
    status: 404,
    param: 'model',
    code: 'model_not_found',
  },
];

function expand(endpoint: BadBody['endpoint'], rows: readonly Row[]): BadBody[] {
  return rows.flatMap(([field, values, code = 'invalid_value', param = field]) =>
    values.map((value) => ({
      endpoint,
      patch: `"${field}":${value}`,
      status: 400,
      param: param === '' ? null : param,
      code,
    })),
  );
}

const GENERATING = ['/v1/chat/completions', '/v1/completions', '/generate'] as const;

export const BAD_BODIES: readonly BadBody[] = [
  ...GENERATING.flatMap((endpoint) => expand(endpoint, SHARED)),
  ...GENERATING.map(
    (endpoint): BadBody => ({
      endpoint,
      patch: '"model":"nope"',
      status: 404,
      param: 'model',
      code: 'model_not_found',
    }),
  ),
  ...expand('/v1/chat/completions', CHAT),
  ...expand('/v1/completions', COMPLETION),
  ...expand('/generate', GENERATE),
  ...expand('/tokenize', TOKENIZE),
  ...expand('/detokenize', DETOKENIZE),
  ...MISSING,
];
