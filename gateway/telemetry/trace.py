"""W3C Trace Context: where a request belongs in its caller's trace, and what the provider is told of it.

Source: https://www.w3.org/TR/trace-context/ (level 1, and level 2's flag for random ids). A `traceparent` that is not
well formed is ignored together with its `tracestate`, as the specification asks, and a new trace begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

TRACESTATE_BYTES = 512
"""A longer `tracestate` is not passed on. The specification asks for this much at least."""

_SAMPLED = 0x01
_RANDOM = 0x02

# a version after 00 may have more behind a dash; version ff is forbidden, and so are ids of nothing but zeros
_TRACEPARENT = re.compile(
    rb"(?:00(?=-.{52}\Z)|(?!00|ff)[0-9a-f]{2}(?=-.{52}(?:-|\Z)))"
    rb"-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})"
)
_TRACESTATE = re.compile(rb"[\x20-\x7e]+")


class Trace(msgspec.Struct, frozen=True):
    """This gateway's span in a trace. `parent_id` is the caller's span, empty where the trace begins here."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    flags: int = 0
    state: bytes = b""

    def child(self, new_id: Callable[[], str]) -> Trace:
        """A span below this one, for one attempt at a provider."""
        return Trace(self.trace_id, new_id()[:16], self.span_id, self.flags, self.state)

    def child_traceparent(self, new_id: Callable[[], str]) -> bytes:
        """The header that a child of this span would send, where nothing else is wanted of it."""
        return f"00-{self.trace_id}-{new_id()[:16]}-{self.flags:02x}".encode()

    @property
    def traceparent(self) -> bytes:
        """The header that tells the next one down that this span is its parent."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}".encode()


def begin(traceparent: bytes | None, tracestate: bytes | None, new_id: Callable[[], str]) -> Trace:
    """This gateway's span for a request with these headers, `None` for one that is absent or was sent twice.

    `new_id` gives 32 random hexadecimal digits.
    """
    if traceparent is not None:
        found = _parse(traceparent)
        if found is not None:
            trace_id, parent_id, flags = found
            state = tracestate if tracestate and _may_pass(tracestate) else b""
            return Trace(trace_id, new_id()[:16], parent_id, flags, state)
    # nothing is recorded for a trace that begins here, so it is not marked as sampled
    return Trace(new_id(), new_id()[:16], flags=_RANDOM)


def _parse(traceparent: bytes) -> tuple[str, str, int] | None:
    match = _TRACEPARENT.match(traceparent)
    if match is None:
        return None
    trace_id, parent_id, flags = match.groups()
    return trace_id.decode(), parent_id.decode(), int(flags, 16) & (_SAMPLED | _RANDOM)


def _may_pass(tracestate: bytes) -> bool:
    return len(tracestate) <= TRACESTATE_BYTES and _TRACESTATE.fullmatch(tracestate) is not None
