"""What happens in one answer, in order: the only shape in which the relay, the meter and the window see a reply.

A unary reply is a stream whose events all appear when its body ends. Every event keeps in `raw` the bytes that it came
in, so that an answer that needs no change goes out as it came, unknown fields included.

These are msgspec structs, not dataclasses: one is made for every streamed chunk, and a frozen dataclass takes ten
times as long to build (0.1 us against 1.0 us, CPython 3.11).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.model.conversation import Citation, Part
from gateway.model.usage import Usage

StopReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "other"]
"""`refusal`: the model declines; `pause`: it wants the same conversation again, to go on (Anthropic's pause_turn)."""


class Start(msgspec.Struct, frozen=True):
    """The answer begins; `model` is the one that the provider says is answering, `id` and `created` (Unix time) are its
    own for the answer, where it says them.

    `usage` is what it has counted so far, where it says that at the start (Anthropic): of the input all kinds, of the
    output nothing that lasts. It helps an estimate of an answer that is cut short and is no `UsageReport`.
    """

    model: str
    raw: bytes = b""
    id: str = ""
    created: int = 0
    usage: Usage | None = None


class TextDelta(msgspec.Struct, frozen=True):
    """More text of choice `index`."""

    text: str
    index: int = 0
    raw: bytes = b""


class ReasoningDelta(msgspec.Struct, frozen=True):
    """More of what the model thinks. `signature`, `redacted` and `id` as in `Reasoning`, once a thought."""

    text: str
    index: int = 0
    raw: bytes = b""
    signature: str = ""
    redacted: str = ""
    id: str = ""


class RefusalDelta(msgspec.Struct, frozen=True):
    """More of the words in which the model declines."""

    text: str
    index: int = 0
    raw: bytes = b""


class CitationDelta(msgspec.Struct, frozen=True):
    """The text that has just come is from there."""

    citation: Citation
    index: int = 0
    raw: bytes = b""


class LogprobsDelta(msgspec.Struct, frozen=True):
    """Log-probabilities of the tokens that have just come, each as OpenAI writes it: token, logprob, top_logprobs."""

    tokens: tuple[dict[str, Any], ...]
    index: int = 0
    raw: bytes = b""


class Break(msgspec.Struct, frozen=True):
    """What comes next is another block of its kind (Anthropic's content blocks, OpenAI's output items)."""

    index: int = 0
    raw: bytes = b""


class ToolDelta(msgspec.Struct, frozen=True):
    """More of tool call number `call` in choice `index`; `name` and `id` come once, `arguments` in pieces.

    `signature` is Gemini's thought signature of the call.
    """

    call: int
    arguments: str
    name: str = ""
    id: str = ""
    index: int = 0
    raw: bytes = b""
    signature: str = ""


class PartDelta(msgspec.Struct, frozen=True):
    """A part that comes in one piece: an image, a tool that the provider ran (`Opaque`); of sound, the next stretch."""

    part: Part
    index: int = 0
    raw: bytes = b""


class UsageReport(msgspec.Struct, frozen=True):
    """The provider's own count. `extra` marks the chunk that exists only because we asked for usage.

    `tier` is the tier of service that the provider says it served, in its own word; empty if it does not say.
    `seconds` is the length of audio that it read, where that is what it charges by; `searches` are the web searches
    that it ran itself, which it charges beside the tokens.
    """

    usage: Usage
    extra: bool = False
    raw: bytes = b""
    tier: str = ""
    seconds: int = 0
    searches: int = 0


class Stop(msgspec.Struct, frozen=True):
    """Choice `index` is complete. `sequence` is the stop sequence that was met, where the provider says it."""

    reason: StopReason
    index: int = 0
    raw: bytes = b""
    sequence: str = ""


class Passed(msgspec.Struct, frozen=True):
    """Bytes that mean nothing to the gateway: comments, keep-alives, `[DONE]`, fields that it does not know."""

    raw: bytes


class Failed(msgspec.Struct, frozen=True):
    """The provider said, inside a stream that had begun, that it cannot go on."""

    message: str
    raw: bytes = b""


Delta = TextDelta | ReasoningDelta | RefusalDelta | CitationDelta | LogprobsDelta | ToolDelta | PartDelta
Event = Start | Delta | Break | UsageReport | Stop | Passed | Failed
