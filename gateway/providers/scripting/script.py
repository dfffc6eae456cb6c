"""What a script may say: the format of the file, as types that check themselves.

A script stands for a vendor. It lists models and replies; the first reply whose `when` fits the request is played. What
a reply says is one of `text`, `tool_calls`, `json`, `embedding`, `raw` or `error` (none of them: the endpoint's natural
answer); how it is said, timed and broken are keys of their own, so that any answer can be combined with any fault.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PositiveInt,
    model_validator,
)

Endpoint = Literal[
    "chat", "completions", "embeddings", "models", "moderations", "images", "speech", "transcriptions",
    "translations", "rerank", "files", "batches",
]  # fmt: skip
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Range = tuple[float, float]
"""Seconds: drawn evenly between the two."""
VARIABLES = frozenset({"question", "model", "system", "turn", "tool_result", "choice", "count"})
"""The names that `{{ name }}` may use in a text."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_VARIABLE = re.compile(r"\{\{\s*(.*?)\s*\}\}")
AUTO = "auto"
MAX_DIMENSIONS = 4096


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _range(value: Any) -> Any:
    return (value, value) if isinstance(value, int | float) else value


def _chunk(value: Any) -> str | int:
    if value in ("words", "chars") or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value  # type: ignore[no-any-return]  # narrowed by the line above
    raise ValueError("should be `words`, `chars` or a number of characters above zero")


def _retry_after(value: Any) -> str:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    raise ValueError("should be a number of seconds or an HTTP date")


def _template(value: Any) -> Any:
    for name in _VARIABLE.findall(value) if isinstance(value, str) else ():
        if name not in VARIABLES:
            raise ValueError(f"`{{{{ {name} }}}}` is not known; there are {', '.join(sorted(VARIABLES))}")
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _NAME.fullmatch(name) or not _LINE.fullmatch(text):
            raise ValueError(f"`{name}` is no header: a name is a token, a value one line of Latin-1")
    return value


Seconds = Annotated[Range, BeforeValidator(_range)]
Chunking = Annotated[str | int, PlainValidator(_chunk)]
HeaderMap = Annotated[dict[str, str], AfterValidator(_headers)]
RetryAfter = Annotated[str, PlainValidator(_retry_after)]
Template = Annotated[str, BeforeValidator(_template)]
Count = Annotated[int, Field(ge=0)]


def fill(template: str, values: dict[str, str]) -> str:
    """Put `values` where `{{ name }}` stands. They are put in as they are: a value is never read as a template."""
    if "{{" not in template:
        return template
    return _VARIABLE.sub(lambda match: values[match.group(1)], template)


class When(_Part):
    """Which requests a reply is for; every key that is given must fit."""

    model: str | None = None
    """A name or a pattern with `*`."""
    endpoint: Endpoint | None = None
    contains: str | None = None
    """In the question, whatever the case. The question is the last user message, the prompt or the input."""
    regex: re.Pattern[str] | None = None
    turn: PositiveInt | None = None
    """The number of user messages so far."""
    stream: bool | None = None
    tool: Literal["wanted", "answered"] | None = None
    """wanted: a tool is demanded or named in the question. answered: the last message is a tool's result."""
    format: Literal["text", "json_object", "json_schema"] | None = None
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    """This share of the requests that fit otherwise, drawn by the seed."""


class ToolCall(_Part):
    """A call that the model makes. `arguments`: an object, `auto` (made from the tool's schema) or a raw text."""

    name: str
    arguments: dict[str, Any] | str = AUTO


def _tool_calls(value: Any) -> Any:
    return (ToolCall(name="*"),) if value == AUTO else value


def _embedding(value: Any) -> Any:
    return () if value == AUTO else value


class Error(_Part):
    """An answer that is an error, in OpenAI's shape. `retry_after` becomes the header, as given."""

    status: Annotated[int, Field(ge=400, le=599)] = 500
    type: str = "server_error"
    code: str | None = None
    message: str = "The server had an error while processing your request. Sorry about that!"
    param: str | None = None
    retry_after: RetryAfter | None = None


class Raw(_Part):
    """A body that is sent as it is, such as the error page of a load balancer."""

    body: str
    content_type: str = "text/html"


class UsageCounts(_Part):
    """Tokens that are told and billed; what is left out is counted."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0


class Untold(UsageCounts):
    """`usage: none`: counted and billed, but never told."""


def _usage(value: Any) -> Any:
    return Untold() if value == "none" else value


class Delay(_Part):
    """Seconds (or a pair to draw between): before the head, before the first byte of the body, between chunks."""

    head: Seconds = (0.0, 0.0)
    first: Seconds = (0.0, 0.0)
    chunk: Seconds = (0.0, 0.0)

    @model_validator(mode="after")
    def _in_order(self) -> Delay:
        for low, high in (self.head, self.first, self.chunk):
            if not 0 <= low <= high:
                raise ValueError("a delay is a number of seconds, or two numbers, the smaller first")
        return self


class Wire(_Part):
    """Ways to say the same thing that a client must bear, none of them a fault."""

    framing: Literal["length", "chunked", "close"] | None = None
    interim: tuple[Annotated[int, Field(ge=102, le=199)], ...] = ()
    trailers: HeaderMap = {}
    keep_alive: bool = True
    split: PositiveInt | None = None
    """Bytes: no write is longer."""
    line_end: Literal["lf", "crlf", "cr"] = "lf"
    comments: bool = False
    """A comment line before each event."""


class _At(_Part):
    after_chunks: Count | None = None
    after_bytes: Count | None = None

    @model_validator(mode="after")
    def _one_place(self) -> _At:
        if self.after_chunks is not None and self.after_bytes is not None:
            raise ValueError("a fault happens in one place: `after_chunks` or `after_bytes`")
        return self


class Stop(_At):
    """Silence, a reset or an early end; `before_head`: before even the status line."""

    kind: Literal["hang", "reset", "close_early"]
    before_head: bool = False


class Cut(_At):
    """truncate: the body ends early, framed as if it were whole. bad_chunk: a chunk size that is no number."""

    kind: Literal["truncate", "bad_chunk"]


class Drip(_At):
    """The rest of the body in pieces of `bytes`, one every `every` seconds."""

    kind: Literal["drip"]
    bytes: PositiveInt = 1
    every: Annotated[float, Field(ge=0)] = 5.0


class BadEvent(_Part):
    """An event that is no JSON, no UTF-8, or over 1 MiB, among good ones."""

    kind: Literal["malformed_sse"]
    how: Literal["json", "utf8", "huge"] = "json"
    after_chunks: Count = 0


class ErrorEvent(_Part):
    """The stream says that it cannot go on, and ends."""

    kind: Literal["error_event"]
    message: str = "The server had an error while processing your request. Sorry about that!"
    after_chunks: Count = 0


class Plain(_Part):
    """no_done: a clean end without `[DONE]`. bad_head: a status line that is none."""

    kind: Literal["no_done", "bad_head"]


class HugeHead(_Part):
    """A header line of so many bytes."""

    kind: Literal["huge_head"]
    bytes: PositiveInt = 1 << 20


class WrongLength(_Part):
    """A content-length that is wrong `by` bytes: above zero it promises more than comes, below it less."""

    kind: Literal["wrong_length"]
    by: int = 10


class GzipBomb(_Part):
    """A gzip body, asked for or not, that grows by `expands_to` bytes of white space."""

    kind: Literal["gzip_bomb"]
    expands_to: Count = 64 << 20


Fault = Annotated[
    Stop | Cut | Drip | BadEvent | ErrorEvent | Plain | HugeHead | WrongLength | GzipBomb,
    Field(discriminator="kind"),
]

_TEXT_ENDPOINTS: frozenset[Endpoint] = frozenset({"chat", "completions", "transcriptions", "translations"})


class Reply(_Part):
    """One answer, and whom it is for."""

    when: When = When()
    text: Template | None = None
    repeat: PositiveInt = 1
    tool_calls: Annotated[tuple[ToolCall, ...] | None, BeforeValidator(_tool_calls)] = None
    document: Any = Field(default=None, alias="json")
    embedding: Annotated[tuple[float, ...] | None, BeforeValidator(_embedding)] = None
    raw: Raw | None = None
    error: Error | None = None
    status: Annotated[int, Field(ge=200, le=599)] = 200
    headers: HeaderMap = {}
    extra: dict[str, Any] = {}
    usage: Annotated[UsageCounts, BeforeValidator(_usage)] = UsageCounts()
    stream_usage: Literal["asked", "always", "last"] = "asked"
    finish_reason: FinishReason | None = None
    chunk: Chunking = "words"
    delay: Delay = Delay()
    fault: Fault | None = None
    wire: Wire = Wire()
    times: PositiveInt | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Reply:
        said = [name for name in ("text", "document", "embedding", "raw", "error") if getattr(self, name) is not None]
        if self.tool_calls is not None and said not in ([], ["text"]):
            said.append("tool_calls")
        if len(said) > 1:
            raise ValueError(f"a reply says one thing, not {' and '.join(said).replace('document', 'json')}")
        endpoint = self.when.endpoint
        if endpoint is not None and not self.fits(endpoint):
            raise ValueError(f"what this reply says cannot answer the endpoint `{endpoint}`")
        return self

    def fits(self, endpoint: Endpoint) -> bool:
        """Whether this kind of content answers `endpoint`. Errors, raw bodies and natural answers fit all."""
        if self.tool_calls is not None:
            return endpoint == "chat"
        if self.text is not None:
            return endpoint in _TEXT_ENDPOINTS
        if self.embedding is not None:
            return endpoint == "embeddings"
        if self.document is not None:
            return endpoint in ("chat", "completions") or self.when.endpoint == endpoint
        return True


class Script(_Part):
    """A whole script."""

    models: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names that are served; a pattern with `*` is served too, but not listed."""
    owner: str = "scripted"
    api_key: str | None = None
    """If given, requests must carry it as a bearer token; else any key will do."""
    dimensions: Annotated[int, Field(ge=1, le=MAX_DIMENSIONS)] = 256
    replies: tuple[Reply, ...] = ()
