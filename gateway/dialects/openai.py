"""OpenAI's wire format to the model: requests read, replies and streams turned into events.

Source: https://platform.openai.com/docs/api-reference/chat. Replies are decoded by type (msgspec), which reads past
fields that the gateway does not know without building them: 0.4 us a chunk.

A stream is complete when a finish reason came for every choice and its body ended cleanly, `[DONE]` or not: several
compatible servers never send it. `[DONE]` without a finish reason is held back, since clients stop reading there: what
comes in its place is an error.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, TypeVar

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


_DECIDING = (
    *("model", "stream", "stream_options", "n", "best_of", "max_tokens", "max_completion_tokens"),
    *("service_tier", "user", "metadata"),
)
"""Members that decide who answers, what is counted and what it may cost: none of them may stand in a body twice."""

_LARGE = 256 * 1024

_T = TypeVar("_T")


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
    check_model_name(model)
    stream = parsed.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise _wrong("stream", stream, "true or false")
    # What most clients send is JSON without a space. If it reads back as itself, nothing in it was there twice.
    # (Not for large bodies: to write one again takes as long as to read it.)
    if len(body) > _LARGE or orjson.dumps(parsed) != body:
        there = [name for name in _DECIDING if name in parsed]  # the others are not there once
        if not jsonedit.is_plain(body, there):
            jsonedit.check_unique(body, _DECIDING)
    return ChatRequest(model, bool(stream), _asks_usage(parsed), parsed, body)


def check_model_name(model: str) -> None:
    """Raise `InvalidRequest` for what cannot be the name of a model."""
    if not model or len(model) > 200 or not model.isprintable():
        raise InvalidRequest(
            "`model` must be 1 to 200 printable characters: the name of a model, see GET /v1/models.",
            code="invalid_value",
            param="model",
        )


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
    """The body for the provider: `model` as it calls it, usage asked for if `add_usage`, the rest untouched.

    A default model is spelled out: the provider's own default may be another one, which nobody has allowed.
    """
    replace: dict[str, bytes] = {}
    if model != request.model or "model" not in request.parsed:
        replace["model"] = orjson.dumps(model)
    if add_usage:
        options = request.parsed.get("stream_options") or {}
        replace["stream_options"] = orjson.dumps({**options, "include_usage": True})
    if not replace:
        return request.body
    plain = jsonedit.is_plain(request.body, replace.keys() & request.parsed.keys())
    return jsonedit.edit(request.body, request.parsed, replace, plain=plain)


# Replies


_Count = Annotated[int, msgspec.Meta(le=1_000_000_000)]
"""A number of tokens. One that no call can use is a fault of its provider's and no count: it is estimated instead, as
its price would fit into no column and no budget."""


class _Details(msgspec.Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    image_tokens: _Count | None = None
    cached_tokens_details: _Details | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: _Count | None = None  # DeepSeek's word for cached_tokens
    seconds: float | None = None  # of audio, in place of tokens
    num_search_queries: int | None = None  # Perplexity's, as the next two, which are not in its completion_tokens
    citation_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Part(msgspec.Struct):
    text: str | None = None


class _Delta(msgspec.Struct):
    content: str | list[_Part] | None = None
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
    service_tier: str | None = None
    duration: float | str | None = None  # of a transcription that is told word by word


_decode = msgspec.json.Decoder(_Reply).decode


def _read_reply(body: bytes) -> _Reply:
    """`body` as far as it can be understood. Raises `ValueError` if it is neither a JSON object nor an array."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _read_leniently(body)


def _read_leniently(body: bytes) -> _Reply:
    """A reply of an unusual shape, or with what Python's encoder writes though JSON has it not: NaN, half a surrogate.

    What it used is read whatever else is odd in it: an answer must not be free because of a field.
    """
    try:
        whole = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if isinstance(whole, list):
        return _Reply()
    if not isinstance(whole, dict):
        raise ValueError("neither an object nor an array")
    model, listed, error = whole.get("model"), whole.get("choices"), whole.get("error")
    return _Reply(
        model if isinstance(model, str) else None,
        [_any_choice(one) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else None,
        _converted(whole.get("usage"), _Usage),
        (_converted(error, _Problem) or _Problem(error if isinstance(error, str) else None)) if error else None,
        tier if isinstance(tier := whole.get("service_tier"), str) else None,
        duration if type(duration := whole.get("duration")) in (int, float, str) else None,
    )


def _any_choice(found: dict[str, Any]) -> _Choice:
    reason = found.get("finish_reason")
    return _converted(found, _Choice) or _Choice(finish_reason=reason if isinstance(reason, str) else None)


def _converted(value: object, kind: type[_T]) -> _T | None:
    try:
        return msgspec.convert(value, kind, strict=False) if value is not None else None
    except msgspec.ValidationError:
        return None


def _usage(found: _Usage) -> Usage | None:
    """None where no count is in it: an empty object is no report, an explicit zero is one."""
    into = found.prompt_tokens_details or found.input_tokens_details or _NO_DETAILS
    out = found.completion_tokens_details or found.output_tokens_details or _NO_DETAILS
    given = found.prompt_tokens if found.prompt_tokens is not None else found.input_tokens
    made = found.completion_tokens if found.completion_tokens is not None else found.output_tokens
    if given is None:
        given = found.total_tokens
    if given is None and made is None:
        return None
    cached = into.cached_tokens if into.cached_tokens is not None else found.prompt_cache_hit_tokens
    if into.audio_tokens or out.audio_tokens or into.image_tokens or out.image_tokens:
        return _media_usage(given, _made(found, given, made, out), cached, into, out)
    if found.citation_tokens or (found.reasoning_tokens and out.reasoning_tokens is None):
        beside = _count(found.reasoning_tokens if out.reasoning_tokens is None else 0)
        cited = _count(found.citation_tokens)
        total = _made(found, given, made, out) + beside + cited
        return Usage(_count(given), total, _count(cached), 0, beside, citation_tokens=cited)
    return Usage(
        _count(given),
        _made(found, given, made, out),
        _count(cached),
        _count(into.cache_write_tokens),
        _count(out.reasoning_tokens),
    )


def _made(found: _Usage, given: int | None, made: int | None, out: _Details) -> int:
    """Output tokens, reasoning included. Some servers leave it out, and give themselves away by their total."""
    total = _count(made)
    reasoning = _count(out.reasoning_tokens)
    if reasoning and found.total_tokens == _count(given) + total + reasoning:
        total += reasoning
    return total


def _media_usage(given: int | None, made: int, cached: int | None, into: _Details, out: _Details) -> Usage:
    of_cache = into.cached_tokens_details or _NO_DETAILS
    return Usage(
        _count(given),
        made,
        _count(cached),
        _count(into.cache_write_tokens),
        _count(out.reasoning_tokens),
        input_audio_tokens=_count(into.audio_tokens),
        output_audio_tokens=_count(out.audio_tokens),
        cache_read_audio_tokens=_count(of_cache.audio_tokens),
        input_image_tokens=_count(into.image_tokens),
        output_image_tokens=_count(out.image_tokens),
        cache_read_image_tokens=_count(of_cache.image_tokens),
    )


_NO_DETAILS = _Details()


def _count(found: int | None) -> int:
    return max(0, found or 0)  # counters never go down, whatever a provider says


def _choice_events(choice: _Choice, raw: bytes) -> list[Event]:
    """The events of one choice; the first of them carries `raw`."""
    events: list[Event] = []
    delta = choice.delta or choice.message
    text = choice.text
    if delta is not None:
        text = _delta_text(delta)
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


def _delta_text(delta: _Delta) -> str:
    content = delta.content
    if isinstance(content, list):
        content = "".join(part.text or "" for part in content)
    if delta.refusal or delta.reasoning_content:
        return (delta.reasoning_content or "") + (content or "") + (delta.refusal or "")
    return content or ""


def add_cost(event: bytes, cost_usd: str) -> bytes:
    """`event` with `cost_usd` in its usage, its name and id kept; as it is where it has none."""
    body = sse.payload(event)
    try:
        parsed = orjson.loads(body or b"null")
        if not isinstance(parsed, dict) or not isinstance(parsed.get("usage"), dict):
            return event
        parsed["usage"]["cost_usd"] = cost_usd
        return sse.replace(event, orjson.dumps(parsed))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # it reads what is nested deeper than it writes
        return event


class StreamDecoder:
    """A streamed reply: `feed` bytes cut anywhere, get events whose `raw` together are those bytes.

    `answers`: the stream is an answer in choices and must end in a finish reason; images and speech end as they like.
    """

    def __init__(self, *, answers: bool = True) -> None:
        self._answers = answers
        self._splitter = sse.Splitter()
        self._model = ""
        self._tier = ""
        self._open: set[int] = set()
        self._stopped: set[int] = set()
        self._failed = False
        self._cut = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises `BrokenReply` where it cannot be a stream."""
        events: list[Event] = []
        for raw in self._splitter.feed(data):
            self._take(sse.payload(raw), raw, events)
        return events

    def _take(self, body: bytes | None, raw: bytes, events: list[Event]) -> None:
        """One event, whose data is `body`."""
        if body is None:
            events.append(Passed(raw))
        elif body == b"[DONE]":
            self._cut = self._cut or not self._is_complete
            if not self._cut:
                events.append(Passed(raw))
        else:
            try:
                reply = _read_reply(body)
            except ValueError:
                events.append(Passed(raw))  # not ours to judge: it goes on as it came
                return
            self._read(reply, raw, events)

    def _read(self, reply: _Reply, raw: bytes, events: list[Event]) -> None:
        if reply.error is not None:
            self._failed = True
            events.append(Failed(reply.error.message or "The provider reported an error.", raw))
            return
        if reply.service_tier is not None:
            self._tier = reply.service_tier
        usage = _usage(reply.usage) if reply.usage is not None else None
        if usage is not None and not reply.choices:
            events.append(UsageReport(usage, True, raw, self._tier, searches=_searches(reply)))
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
        if usage is not None:
            events.append(UsageReport(usage, False, raw, self._tier, searches=_searches(reply)))
        elif len(events) == before:
            events.append(Passed(raw))

    def _track(self, choice: _Choice) -> None:
        if choice.finish_reason is not None:
            self._stopped.add(choice.index)
            self._open.discard(choice.index)
        elif choice.index not in self._stopped:  # some servers send a last chunk of filter results after the reason
            self._open.add(choice.index)

    @property
    def _is_complete(self) -> bool:
        return not self._answers or self._failed or bool(self._stopped and not self._open)

    def close(self) -> list[Event]:
        """The body ended cleanly. Raises `BrokenReply` if the answer had not."""
        events: list[Event] = []
        rest = self._splitter.close()
        if rest:
            self._take_rest(rest, events)
        if self._cut or not self._is_complete:
            raise BrokenReply("The provider's stream ended before its answer did.", code="upstream_truncated")
        return events

    def _take_rest(self, rest: bytes, events: list[Event]) -> None:
        """A last event without its empty line, which clients read all the same, if it is whole."""
        body = sse.payload(rest)
        if body is not None and body != b"[DONE]":
            try:
                _read_reply(body)
            except ValueError:
                body = None
        if body is None and rest.strip() and not rest.startswith(b":"):
            raise BrokenReply("The provider's stream ended inside an event.", code="upstream_truncated")
        self._take(body, rest, events)


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
            reply = _read_reply(body)
        except ValueError:
            raise BrokenReply("The provider's reply is not valid JSON.", code="upstream_invalid_json") from None
        events: list[Event] = [Start(reply.model or "", body)]
        for choice in reply.choices or ():
            events += _choice_events(choice, b"")
        usage = _usage(reply.usage) if reply.usage is not None else None
        seconds = _seconds(reply)
        if usage is not None or seconds:
            told = UsageReport(
                usage or Usage(), tier=reply.service_tier or "", seconds=seconds, searches=_searches(reply)
            )
            events.append(told)
        return events


def _searches(reply: _Reply) -> int:
    return _count(reply.usage.num_search_queries) if reply.usage is not None else 0


def _seconds(reply: _Reply) -> int:
    """Whole seconds of audio, the last one begun counting whole; 0 where the reply tells of none."""
    told = reply.usage.seconds if reply.usage is not None else None
    if told is None and isinstance(reply.duration, int | float):
        told = reply.duration
    return math.ceil(told) if told is not None and 0 < told < 1e9 else 0


# Errors


def error_body(message: str, kind: str, param: str | None, code: str) -> bytes:
    """OpenAI's error shape, all four members always present."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def words_of_error(body: bytes) -> str | None:
    """What an error in another shape says, bounded: `{"detail": ...}` of FastAPI, `{"message": ...}`, and the like."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parsed, dict):
        return None
    for name in ("message", "detail", "error", "error_message"):
        if parsed.get(name):
            found = parsed[name] if isinstance(parsed[name], str) else orjson.dumps(parsed[name]).decode()
            return found if len(found) <= 1000 else found[:997] + "..."
    return None


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
