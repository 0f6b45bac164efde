"""Checks an OpenAI-compatible server with the unmodified Python client.

usage: openai_client.py BASE_URL KEY

Prints one JSON object: for each check null, or what was wrong. The server's tokens are bytes, its model is called "twin".
"""

import asyncio
import json
import sys
import traceback

import openai

BASE_URL, KEY = sys.argv[1:3]
ASKED = {
    "model": "twin",
    "messages": [{"role": "user", "content": "Say something about rivers."}],
    "seed": 7,
    "max_tokens": 20,
}
PROMPTED = {"model": "twin", "prompt": "Once upon a time", "seed": 3, "max_tokens": 20}

client = openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)


def text_of(chunks, index=0):
    return "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == index)


def chat():
    answer = client.chat.completions.create(**ASKED)
    assert len(answer.choices[0].message.content) == 20
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 20


def streaming():
    whole = client.chat.completions.create(**ASKED)
    chunks = list(client.chat.completions.create(**ASKED, stream=True))
    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "length"


def usage_in_stream():
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(**ASKED, stream=True, stream_options=options))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 20
    assert all(chunk.usage is None for chunk in chunks[:-1])


def four_choices():
    whole = client.chat.completions.create(**ASKED, n=4)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    chunks = list(client.chat.completions.create(**ASKED, n=4, stream=True))
    for choice in whole.choices:
        assert text_of(chunks, choice.index) == choice.message.content


def chat_logprobs():
    answer = client.chat.completions.create(**ASKED, logprobs=True, top_logprobs=3)
    content = answer.choices[0].logprobs.content
    assert "".join(entry.token for entry in content) == answer.choices[0].message.content
    assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 3 for entry in content)


def completion():
    whole = client.completions.create(**PROMPTED)
    assert len(whole.choices[0].text) == 20
    chunks = list(client.completions.create(**PROMPTED, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text


def completion_logprobs():
    answer = client.completions.create(**PROMPTED, logprobs=2)
    logprobs = answer.choices[0].logprobs
    assert "".join(logprobs.tokens) == answer.choices[0].text
    assert len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == len(logprobs.text_offset) == 20


def stop():
    full = client.chat.completions.create(**ASKED).choices[0].message.content
    word = full[6:10]
    chunks = list(client.chat.completions.create(**ASKED, stop=[word], stream=True))
    assert text_of(chunks) == full[: full.index(word)]
    assert chunks[-1].choices[0].finish_reason == "stop"


def extra_parameters():
    body = {"ignore_eos": True, "min_tokens": 300, "top_k": 5, "min_p": 0.1, "priority": 1}
    answer = client.chat.completions.create(**{**ASKED, "max_tokens": 400}, extra_body=body)
    assert answer.usage.completion_tokens == 400


def abort():
    with client.chat.completions.create(**{**ASKED, "max_tokens": 2000}, stream=True) as stream:
        for count, _ in enumerate(stream):
            if count == 3:
                break


def asynchronous():
    async def run():
        async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as parallel:
            return await asyncio.gather(*(parallel.chat.completions.create(**ASKED) for _ in range(16)))

    assert len({answer.choices[0].message.content for answer in asyncio.run(run())}) == 1


def list_models():
    assert [model.id for model in client.models.list()] == ["twin"]


def unknown_model():
    try:
        client.chat.completions.create(**{**ASKED, "model": "gpt-x"})
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
    else:
        raise AssertionError("no error")


def too_long():
    try:
        client.completions.create(**{**PROMPTED, "prompt": "x" * 200_000})
    except openai.BadRequestError as error:
        assert error.code == "context_length_exceeded"
    else:
        raise AssertionError("no error")


def bad_key():
    try:
        openai.OpenAI(base_url=BASE_URL, api_key="sk-wrong", max_retries=0).models.list()
    except openai.AuthenticationError:
        return
    raise AssertionError("no error")


CHECKS = [
    chat,
    streaming,
    usage_in_stream,
    four_choices,
    chat_logprobs,
    completion,
    completion_logprobs,
    stop,
    extra_parameters,
    abort,
    asynchronous,
    list_models,
    unknown_model,
    too_long,
    bad_key,
]


def outcome(check):
    try:
        check()
    except Exception:
        return traceback.format_exc()
    return None


print(json.dumps({check.__name__: outcome(check) for check in CHECKS}))
