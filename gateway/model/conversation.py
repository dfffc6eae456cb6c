"""A conversation in nobody's wire format: what a request means, where its provider speaks another dialect.

A dialect reads its own JSON into this and writes its own JSON from it (`dialects/`). Where client and provider speak
one dialect nothing of this is made: the bytes go through. Members that are `None` or empty were not said, and a
target's own default then holds. What only one dialect knows is kept in `Opaque` parts and in `rest`, never lost in
silence: a target that cannot say it names it.

Ids of tool calls go through as they are; a dialect without ids (Gemini) gets and gives them by name and order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Dialect = Literal["chat", "responses", "messages", "gemini", "converse"]
"""OpenAI's chat completions and Responses, Anthropic's Messages, Gemini's generateContent, Bedrock's Converse."""

Role = Literal["system", "developer", "user", "assistant", "tool"]
CacheTtl = Literal["5m", "1h"]
MediaKind = Literal["image", "audio", "video", "file"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Text(msgspec.Struct, frozen=True):
    """Words. `cache`: what comes up to here may be kept in the provider's cache for so long."""

    text: str
    cache: CacheTtl | None = None
    citations: tuple[Citation, ...] = ()


class Citation(msgspec.Struct, frozen=True):
    """Where a stretch of an answer comes from. `start` and `end` are places in the source's text, or pages, blocks.

    `document` counts the documents of the request from 0; `kind` says what the places count.
    """

    kind: Literal["char", "page", "block", "url", "search_result", "file"]
    cited: str = ""
    title: str = ""
    url: str = ""
    document: int | None = None
    start: int | None = None
    end: int | None = None
    raw: Mapping[str, Any] = {}


class Media(msgspec.Struct, frozen=True):
    """An image, a recording, a film or a document: exactly one of `data` (base64), `url`, `file_id` and `text`.

    `media_type` is a MIME type where it is known. `detail` is OpenAI's for images; `title`, `context` and `cite` are
    Anthropic's for documents.
    """

    kind: MediaKind
    data: str = ""
    url: str = ""
    file_id: str = ""
    text: str = ""
    media_type: str = ""
    name: str = ""
    detail: str = ""
    title: str = ""
    context: str = ""
    cite: bool = False
    cache: CacheTtl | None = None


class ToolCall(msgspec.Struct, frozen=True):
    """The model calls a tool. `arguments` is JSON text as the model wrote it, which need not be valid.

    `signature` is Gemini's thought signature of this call.
    """

    id: str
    name: str
    arguments: str
    signature: str = ""
    cache: CacheTtl | None = None


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool gave back. `name` is empty where the dialect does not say it: look it up by `call_id`."""

    call_id: str
    parts: tuple[Part, ...]
    name: str = ""
    is_error: bool = False
    cache: CacheTtl | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """What a model thought. `signature` proves it to its provider and must go back unchanged.

    `redacted` is thought that only the provider can read (Anthropic's `redacted_thinking`, OpenAI's
    `encrypted_content`); `id` is that of OpenAI's item.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    id: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """The model declines, in words."""

    text: str


class SearchResult(msgspec.Struct, frozen=True):
    """A passage that the application found, given to be cited (Anthropic's `search_result`)."""

    source: str
    title: str
    texts: tuple[str, ...]
    cite: bool = False
    cache: CacheTtl | None = None


class Opaque(msgspec.Struct, frozen=True):
    """A part that only `dialect` knows; `field` is where it stood, for messages to people."""

    dialect: Dialect
    field: str
    value: Any


Part = Text | Media | ToolCall | ToolResult | Reasoning | Refusal | SearchResult | Opaque


class Message(msgspec.Struct, frozen=True):
    """One turn. Results of tools are `ToolResult` parts of a message of role `tool`."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call. `schema` is JSON Schema of its arguments; `strict`: they must follow it."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    cache: CacheTtl | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """`auto`, `none`, `required` (any tool), or `named`: one of `names`."""

    mode: Literal["auto", "none", "required", "named"]
    names: tuple[str, ...] = ()


class Format(msgspec.Struct, frozen=True):
    """How the answer is to be written: JSON of any kind, or as `schema` says."""

    kind: Literal["json", "schema"]
    name: str = ""
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    description: str = ""


class Thinking(msgspec.Struct, frozen=True):
    """How much to think: `effort` in OpenAI's words, `budget` in tokens (-1: as the model sees fit; 0: not at all).

    `show`: thoughts, or a summary of them, are wanted in the answer; `summary` is OpenAI's word for how.
    """

    effort: Effort | None = None
    budget: int | None = None
    show: bool | None = None
    summary: str = ""


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A request. `source` is the dialect that it came in; `rest` are members of that dialect which nothing here says.

    Among `tools`, `Opaque` are those that only one dialect has. `parallel_tools` allows several calls in one answer.
    `logprobs` counts the alternatives wanted for each token; 0 wants the chosen ones only.
    """

    source: Dialect
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool | Opaque, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    choices: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None
    format: Format | None = None
    thinking: Thinking | None = None
    verbosity: str = ""
    user: str = ""
    metadata: Mapping[str, str] = {}
    service_tier: str = ""
    stream: bool = False
    wants_usage: bool = False
    rest: Mapping[str, Any] = {}


class Written(msgspec.Struct, frozen=True):
    """A request in a target's dialect. `dropped` names the members of the source that it could not say, in the source's
    words; empty unless that was allowed."""

    body: bytes
    dropped: tuple[str, ...] = ()
