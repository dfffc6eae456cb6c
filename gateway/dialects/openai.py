"""OpenAI's wire format to the model: requests read, replies and streams turned into events.

Source: https://platform.openai.com/docs/api-reference/chat. Replies are decoded by type (msgspec), which reads past
fields that the gateway does not know without building them: 0.4 us a chunk.

A stream is complete when a finish reason came for every choice and its body ended cleanly, `[DONE]` or not: several
compatible servers never send it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from gateway.dialects import jsonedit, sse
from gateway.errors import BrokenReply, InvalidRequest
from gateway.model.chat import ChatRequest
from gateway.model.events import Event, Failed, Passed, Start, Stop, StopReason, TextDelta, ToolDelta, UsageReport
from gateway.model.usage import Usage

_STOPS: dict[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


# Requests


def read_request(body: bytes, default_model: str | None = None) -> ChatRequest:
    """Parse a body of any endpoint that names a `model`. Raises `InvalidRequest`: what is wrong, what would be right.

    `default_model` is meant where the body names none.

    Only what the gateway itself acts on is checked; the rest is the provider's to judge.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {_where(error)}.", code="invalid_json") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.", code="invalid_json") from None
    if not isinstance(parsed, dict):
        raise InvalidRequest(f"The body must be a JSON object, not {_kind(parsed)}.", code="invalid_type")
    model = parsed.get("model", default_model)
    if not isinstance(model, str):
        raise _wrong("model", model, "a string: the name of a model, see GET /v1/models")
    if not model or len(model) > 200 or not model.isprintable():
        raise InvalidRequest(
            "`model` must be 1 to 200 printable characters: the name of a model, see GET /v1/models.",
            code="invalid_value",
            param="model",
        )
    stream = parsed.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise _wrong("stream", stream, "true or false")
    plain = jsonedit.check_unique(body, ("model",))
    return ChatRequest(model, bool(stream), _asks_usage(parsed), parsed, body, plain)


def _asks_usage(parsed: dict[str, Any]) -> bool:
    options = parsed.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise _wrong("stream_options", options, 'an object such as {"include_usage": true}')
    return options.get("include_usage") is True


def check_messages(request: ChatRequest) -> None:
    """A chat request has messages, each an object with a role. Raises `InvalidRequest`."""
    messages = request.parsed.get("messages")
    if not isinstance(messages, list):
        raise _wrong("messages", messages, "an array of messages")
    if not messages:
        raise InvalidRequest("`messages` is empty; send at least one.", code="invalid_value", param="messages")
    for at, message in enumerate(messages):
        if not isinstance(message, dict):
            raise _wrong(f"messages[{at}]", message, 'an object such as {"role": "user", "content": "..."}')
        if not isinstance(message.get("role"), str):
            raise _wrong(f"messages[{at}].role", message.get("role"), "a string such as `user`")


def _wrong(param: str, value: object, right: str) -> InvalidRequest:
    if value is None:
        return InvalidRequest(f"`{param}` is missing; it must be {right}.", code="missing_field", param=param)
    return InvalidRequest(f"`{param}` must be {right}, not {_kind(value)}.", code="invalid_type", param=param)


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "null")


_KINDS = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}


def _where(error: orjson.JSONDecodeError) -> str:
    reason = str(error).split(":", 1)[0].strip()
    return f"{reason[:1].lower()}{reason[1:]} (line {error.lineno}, column {error.colno})"


def write_request(request: ChatRequest, model: str, *, add_usage: bool) -> bytes:
    """The body for the provider: `model` as it calls it, usage asked for if `add_usage`, the rest untouched."""
    replace: dict[str, bytes] = {}
    if model != request.model:
        replace["model"] = orjson.dumps(model)
    if add_usage:
        options = request.parsed.get("stream_options") or {}
        replace["stream_options"] = orjson.dumps({**options, "include_usage": True})
    if not replace:
        return request.body
    return jsonedit.edit(request.body, request.parsed, replace, plain=request.plain)


# Replies


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Problem(msgspec.Struct):
    message: str | None = None


class _Reply(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: _Problem | None = None


_decode = msgspec.json.Decoder(_Reply).decode


def _usage(found: _Usage) -> Usage:
    into = found.prompt_tokens_details or found.input_tokens_details or _Details()
    out = found.completion_tokens_details or _Details()
    given = found.prompt_tokens if found.prompt_tokens is not None else found.input_tokens
    made = found.completion_tokens if found.completion_tokens is not None else found.output_tokens
    if given is None:
        given = found.total_tokens
    return Usage(
        given or 0, made or 0, into.cached_tokens or 0, into.cache_write_tokens or 0, out.reasoning_tokens or 0
    )


def _choice_events(choice: _Choice, raw: bytes) -> list[Event]:
    """The events of one choice; the first of them carries `raw`."""
    events: list[Event] = []
    delta = choice.delta or choice.message
    text = choice.text
    if delta is not None:
        text = delta.content or delta.refusal or delta.reasoning_content
    if text:
        events.append(TextDelta(text, choice.index, raw))
        raw = b""
    for call in (delta.tool_calls if delta is not None else None) or ():
        function = call.function or _Function()
        events.append(
            ToolDelta(call.index, function.arguments or "", function.name or "", call.id or "", choice.index, raw)
        )
        raw = b""
    if choice.finish_reason is not None:
        events.append(Stop(_STOPS.get(choice.finish_reason, "other"), choice.index, raw))
    return events


class StreamDecoder:
    """A streamed reply: `feed` bytes cut anywhere, get events whose `raw` together are those bytes.

    `answers`: the stream is an answer in choices and must end in a finish reason; images and speech end as they like.
    """

    def __init__(self, *, answers: bool = True) -> None:
        self._answers = answers
        self._splitter = sse.Splitter()
        self._model = ""
        self._open: set[int] = set()
        self._stopped = False
        self._done = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises `BrokenReply` where it cannot be a stream."""
        events: list[Event] = []
        for raw in self._splitter.feed(data):
            body = sse.payload(raw)
            if body is None or body == b"[DONE]":
                self._done = self._done or body is not None
                events.append(Passed(raw))
            else:
                self._read(body, raw, events)
        return events

    def _read(self, body: bytes, raw: bytes, events: list[Event]) -> None:
        try:
            reply = _decode(body)
        except msgspec.DecodeError:
            events.append(Passed(raw))  # not ours to judge: it goes on as it came
            return
        if reply.error is not None:
            events.append(Failed(reply.error.message or "The provider reported an error.", raw))
            return
        if reply.usage is not None and not reply.choices:
            events.append(UsageReport(_usage(reply.usage), True, raw))
            return
        before = len(events)
        if reply.model and reply.model != self._model:
            self._model = reply.model
            events.append(Start(reply.model, raw))
            raw = b""
        for choice in reply.choices or ():
            events += _choice_events(choice, raw)
            raw = raw if len(events) == before else b""
            self._track(choice)
        if reply.usage is not None:
            events.append(UsageReport(_usage(reply.usage), False, raw))
        elif len(events) == before:
            events.append(Passed(raw))

    def _track(self, choice: _Choice) -> None:
        if choice.finish_reason is None:
            self._open.add(choice.index)
        else:
            self._stopped = True
            self._open.discard(choice.index)

    def close(self) -> list[Event]:
        """The body ended cleanly. Raises `BrokenReply` if the answer had not."""
        rest = self._splitter.close()
        if rest.strip():
            raise BrokenReply("The provider's stream ended inside an event.", code="upstream_truncated")
        if self._answers and not self._done and (self._open or not self._stopped):
            raise BrokenReply("The provider's stream ended before its answer did.", code="upstream_truncated")
        return [Passed(rest)] if rest else []


class UnaryDecoder:
    """A reply in one piece: all of its events appear at `close`, the first of them carrying the whole body."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece; no event is complete before the body is."""
        self._pieces.append(data)
        return []

    def close(self) -> list[Event]:
        """All events. Raises `BrokenReply` where the body is not the JSON object that it should be."""
        body = b"".join(self._pieces)
        try:
            reply = _decode(body)
        except msgspec.ValidationError:
            _object_or_broken(body)
            return [Passed(body)]
        except msgspec.DecodeError:
            raise _not_json() from None
        events: list[Event] = [Start(reply.model or "", body)]
        for choice in reply.choices or ():
            events += _choice_events(choice, b"")
        if reply.usage is not None:
            events.append(UsageReport(_usage(reply.usage)))
        return events


def _object_or_broken(body: bytes) -> None:
    """Valid JSON of another shape goes on as it came; anything else is broken."""
    try:
        whole = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _not_json() from None
    if not isinstance(whole, dict | list):
        raise _not_json()


def _not_json() -> BrokenReply:
    return BrokenReply("The provider's reply is not valid JSON.", code="upstream_invalid_json")


# Errors


def error_body(message: str, kind: str, param: str | None, code: str) -> bytes:
    """OpenAI's error shape, all four members always present."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def is_error(body: bytes) -> bool:
    """Whether `body` is an error as OpenAI writes them, which any of its clients can read."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(parsed, dict):
        return False
    error = parsed.get("error")
    return isinstance(error, dict) and isinstance(error.get("message"), str)
