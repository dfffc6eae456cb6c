"""The points at which a gateway kills itself, and the hooks that notice them: only here, never in the gateway.

Every hook wraps one function of the ledger or of the upstream client, whose names are those of the protocol's steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from gateway.ledger import ledger, writer
from gateway.ledger.ledger import Ledger, Ticket
from gateway.upstream.connection import Connection
from gateway.upstream.reply import ConnectionReply

STARTING: Final = ("claimed", "recovery begun", "recovery written", "recovery committed", "recovered")
"""While the ledger is opened: ends of what the process before left open."""
CALLING: Final = (
    *("reserve queued", "durable", "marked sent", "dialled", "first byte", "mid-stream", "last byte", "settle queued"),
)
"""On the event loop, in the order of a call."""
WRITING: Final = ("commit begun", "reserve written", "reserve committed", "settle written", "settle committed")
"""In the writing thread: written is in the transaction, committed is durable and nobody has been told."""
ENDING: Final = ("closing", "closed")
"""After SIGTERM: the ledger is told to end, and has."""

Reach = Callable[[str], None]


def install(reach: Reach) -> None:
    """Have `reach` told of every point, in whatever thread it is reached."""
    _watch_calls(reach)
    _watch_file(reach)


def _watch_calls(reach: Reach) -> None:
    _after(Ledger, "reserve", lambda _: reach("reserve queued"))
    _after(Ticket, "acknowledge", lambda _: reach("durable"))
    _after(Ticket, "sent", lambda _: reach("marked sent"))
    _after(Ticket, "settle", lambda ended: reach("settle queued") if ended else None)
    _after(Connection, "begin", lambda _: reach("dialled"))
    _after(Connection, "begin_streaming", lambda _: reach("dialled"))
    _after(ConnectionReply, "on_head", lambda _: reach("first byte"))
    _after_wait(ConnectionReply, "read", lambda data: reach("mid-stream" if data else "last byte"))
    _after_wait(ConnectionReply, "read_all", lambda _: reach("last byte"))
    _after_wait(Ledger, "close", lambda _: reach("closed"))
    _after(writer.Writer, "end", lambda _: reach("closing"))


def _watch_file(reach: Reach) -> None:
    held: set[str] = set()
    opening = [False]

    def step(name: str) -> None:
        name = {"begin": "begun"}.get(name, name)
        if opening[0]:
            reach(f"recovery {name}")
            return
        if name == "begun":
            held.clear()
            reach("commit begun")
        for what in tuple(held):
            reach(f"{what} {name}")

    for function, what in (("insert_reservations", "reserve"), ("insert_endings", "settle")):
        _before(writer, function, lambda _, rows, what=what: held.add(what) if rows else None)
    original = Ledger.open.__func__  # type: ignore[attr-defined]

    @functools.wraps(original)
    def opened(cls: type[Ledger], *arguments: Any, **options: Any) -> Ledger:
        opening[0] = True
        try:
            made: Ledger = original(cls, *arguments, **{**options, "steps": step})
        finally:
            opening[0] = False
        reach("recovered")
        return made

    setattr(Ledger, "open", classmethod(opened))  # noqa: B010 - mypy would not have it assigned
    _after(ledger, "claim", lambda _: reach("claimed"))


def _after(holder: Any, name: str, then: Callable[[Any], None]) -> None:
    """Call `then` with what `holder.name` has returned, before anybody else gets it."""
    original = getattr(holder, name)

    @functools.wraps(original)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        found = original(*arguments, **options)
        then(found)
        return found

    setattr(holder, name, wrapped)


def _after_wait(holder: Any, name: str, then: Callable[[Any], None]) -> None:
    original = getattr(holder, name)

    @functools.wraps(original)
    async def wrapped(*arguments: Any, **options: Any) -> Any:
        found = await original(*arguments, **options)
        then(found)
        return found

    setattr(holder, name, wrapped)


def _before(holder: Any, name: str, then: Callable[..., None]) -> None:
    original = getattr(holder, name)

    @functools.wraps(original)
    def wrapped(*arguments: Any) -> Any:
        then(*arguments)
        return original(*arguments)

    setattr(holder, name, wrapped)
