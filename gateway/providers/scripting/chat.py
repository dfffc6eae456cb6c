"""`POST /v1/chat/completions`: the completion object, or its chunks.

Source: https://platform.openai.com/docs/api-reference/chat, and the components `CreateChatCompletionResponse` and
`CreateChatCompletionStreamResponse` of OpenAI's OpenAPI document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from gateway.model.usage import Usage
from gateway.providers.scripting import tokens
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import wrong
from gateway.providers.scripting.request import Question, text_of
from gateway.providers.scripting.sample import sample
from gateway.providers.scripting.scene import Scene, openai_usage
from gateway.providers.scripting.script import AUTO, FinishReason, ToolCall

FINGERPRINT = "fp_scripted"
EVENT_STREAM = "text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
MAX_CHOICES = 128
ARGUMENT_PIECE = 8
"""Characters of a tool's arguments in one chunk: few, so that every client has to put pieces together."""


class Call(msgspec.Struct, frozen=True):
    """One tool call, its arguments as JSON text (or whatever the script says they are)."""

    id: str
    name: str
    arguments: str


class Choice(msgspec.Struct, frozen=True):
    """One of the answers: its text, its tool calls, and why it ended."""

    index: int
    text: str | None
    calls: tuple[Call, ...]
    finish: FinishReason

    @property
    def tokens(self) -> int:
        """Output tokens."""
        return tokens.count(self.text or "") + sum(tokens.count_call(call.arguments) for call in self.calls)


def answer(scene: Scene) -> Answer:
    """The whole answer. Raises `Refused` if the request is not one."""
    question = scene.question
    choices = [choice(scene, index) for index in range(choices_of(question))]
    asked = sum(tokens.count(text_of(message.get("content"))) for message in question.messages)
    usage = scene.usage(asked, sum(one.tokens for one in choices))
    head = {
        "id": scene.id("chatcmpl-"),
        "object": "chat.completion.chunk" if question.stream else "chat.completion",
        "created": scene.now,
        "model": question.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
        **scene.reply.extra,
    }
    if question.stream:
        return _stream(scene, choices, usage, head)
    body = {**head, "choices": [_whole(one) for one in choices], **scene.told(openai_usage(usage))}
    return Answer((orjson.dumps(body),), id=str(head["id"]), model=question.model, usage=usage)


def choices_of(question: Question) -> int:
    """How many answers are asked for. Raises `Refused`."""
    asked = question.body.get("n")
    if asked is None:
        return 1
    if not isinstance(asked, int) or isinstance(asked, bool) or not 1 <= asked <= MAX_CHOICES:
        raise wrong("n", f"Invalid 'n': expected an integer between 1 and {MAX_CHOICES}.")
    return asked


def limit_of(question: Question) -> int | None:
    """The output limit in tokens, or None. Raises `Refused`."""
    for name in ("max_completion_tokens", "max_tokens"):
        limit = question.body.get(name)
        if limit is not None:
            if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
                raise wrong(name, f"Invalid '{name}': expected an integer above zero.")
            return limit
    return None


def stops_of(question: Question) -> list[str]:
    """The texts at which the answer ends."""
    stop = question.body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return [one for one in stops if isinstance(one, str)]


def choice(scene: Scene, index: int) -> Choice:
    """Answer number `index`, cut by the request's own limits."""
    reply, question = scene.reply, scene.question
    finish: FinishReason
    if reply.tool_calls is not None:
        calls = tuple(_calls(scene, index))
        finish = reply.finish_reason or ("tool_calls" if calls else "stop")
        return Choice(index, scene.text(index) if reply.text is not None else None, calls, finish)
    text, is_cut = tokens.shorten(said(scene, index), limit_of(question), stops_of(question))
    finish = reply.finish_reason or ("length" if is_cut else "stop")
    return Choice(index, text, (), finish)


def said(scene: Scene, index: int) -> str:
    """The text of a reply: its own, or a document as JSON."""
    document = scene.reply.document
    if document is None:
        return scene.text(index)
    value = sample(scene.question.schema or {"type": "object"}) if document == AUTO else document
    return json.dumps(value, ensure_ascii=False)


def _calls(scene: Scene, choice: int) -> Iterator[Call]:
    number = 0
    for call in scene.reply.tool_calls or ():
        for name in scene.question.wanted_tools if call.name == "*" else (call.name,):
            yield Call(f"call_{scene.token}{choice}{number}", name, _arguments(scene, call, name))
            number += 1


def _arguments(scene: Scene, call: ToolCall, name: str) -> str:
    if call.arguments == AUTO:
        return json.dumps(sample(scene.question.tools.get(name) or {"type": "object"}), ensure_ascii=False)
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)


def _whole(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None, "annotations": []}
    if choice.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.calls
        ]
    return {"index": choice.index, "message": message, "logprobs": None, "finish_reason": choice.finish}


def _stream(scene: Scene, choices: list[Choice], usage: Usage, head: dict[str, Any]) -> Answer:
    options = scene.question.body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    where = scene.reply.stream_usage
    told = openai_usage(usage) if scene.tells_usage and (asked or where != "asked") else None
    frame = _Frame(head, null_usage=told is not None and where != "last")
    parts: list[bytes] = []
    carries: list[bool] = []
    for one in choices:
        for delta, is_content in _deltas(one, scene):
            parts.append(frame.chunk(one.index, delta))
            carries.append(is_content)
    for one in choices:
        is_last = one is choices[-1]
        parts.append(frame.finish(one, told if where == "last" and is_last else None))
        carries.append(False)
    if told is not None and where != "last":
        parts.append(frame.usage(told))
        carries.append(False)
    parts.append(DONE)
    carries.append(False)
    return Answer(
        tuple(parts),
        content_type=EVENT_STREAM,
        id=str(head["id"]),
        model=scene.question.model,
        usage=usage,
        tokens=tokens.spread(usage.output_tokens, carries),
    )


def _deltas(choice: Choice, scene: Scene) -> Iterator[tuple[dict[str, Any], bool]]:
    """The deltas of one choice, and whether each carries output tokens."""
    yield {"role": "assistant", "content": None if choice.text is None else "", "refusal": None}, False
    for piece in tokens.pieces(choice.text or "", scene.reply.chunk):
        yield {"content": piece}, True
    for number, call in enumerate(choice.calls):
        function = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{"index": number, "id": call.id, "type": "function", "function": function}]}, True
        for piece in tokens.pieces(call.arguments, ARGUMENT_PIECE):
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}, True


class _Frame:
    """Writes chunks. What all chunks of a stream share is encoded once."""

    def __init__(self, head: dict[str, Any], *, null_usage: bool) -> None:
        self._start = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['
        self._usage = b',"usage":null' if null_usage else b""
        self._middle = b',"logprobs":null,"finish_reason":null}]' + self._usage + b"}\n\n"

    def chunk(self, index: int, delta: dict[str, Any]) -> bytes:
        """A chunk with more of choice `index`."""
        return b'%b{"index":%d,"delta":%b%b' % (self._start, index, orjson.dumps(delta), self._middle)

    def finish(self, choice: Choice, usage: dict[str, Any] | None) -> bytes:
        """The last chunk of a choice; `usage` where a vendor tells it there."""
        told = b',"usage":' + orjson.dumps(usage) if usage is not None else self._usage
        end = b'{"index":%d,"delta":{},"logprobs":null,"finish_reason":"%b"}]%b}\n\n'
        return self._start + end % (choice.index, choice.finish.encode(), told)

    def usage(self, usage: dict[str, Any]) -> bytes:
        """The chunk that holds only usage."""
        return self._start + b'],"usage":' + orjson.dumps(usage) + b"}\n\n"
