"""Writes what a batch cost to the ledger, once: one row a model, under the batch's id.

Several workers may see at once that a batch has ended. They take turns by a lock on a file, and whoever has the turn
asks the ledger itself what is there: what was reserved is durable before the turn ends, so nothing is booked twice. A
worker that dies in between leaves a reservation that the ledger's recovery ends as void; it costs nothing, and the next
who looks books that model anew. So a batch is done with only when its rows are seen to have ended.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog

from gateway.batches.finished import Finished
from gateway.batches.prices import Used
from gateway.ledger import Ledger, Reader
from gateway.model.record import Attempt, Reservation, Settlement
from gateway.model.usage import Usage
from gateway.store.objects import Owner

TURN_S: Final = 10.0
"""Seconds to wait for the turn. A booking takes some milliseconds."""
_STEP_S: Final = 0.05
_SEEN_S: Final = 2.0  # until what was settled should be in the file
_TAKEN: Final = frozenset({"reserved", "sent", "settled", "estimated"})
_DONE: Final = frozenset({"settled", "estimated"})

Charge = Callable[[Owner, str, int | None, int], None]
"""Told of each row that was booked: whose, the model, nano-dollars (None: unpriced) and tokens. For budgets."""

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger("gateway.batches")


class Busy(Exception):
    """Somebody else has the turn for longer than it takes."""


class Booker:
    """One worker's. `turn` is the file that all workers of a ledger lock; `clock` is Unix time in seconds."""

    def __init__(
        self,
        ledger: Ledger,
        reader: Reader,
        turn: Path,
        charge: Charge | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._turn = turn
        self._charge = charge
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Booker in turns of {self._turn}>"

    async def book(self, owner: Owner, batch: Finished, used: Sequence[Used], digest: str, version: str) -> bool:
        """Book what is not booked yet; whether all of it is durable, so that nobody has to look again.

        Raises `Unavailable` (ledger_unavailable) and `Busy`: try again later.
        """
        async with turn(self._turn, TURN_S):
            known = await self._known(batch.id)
            taken = {attempt.reservation.deployment for attempt in known if attempt.state in _TAKEN}
            models = {one.model for one in used}
            if taken - models:
                # It was measured in another way then, when prices were others, and names its models in other words.
                models = taken
            number = max((attempt.reservation.attempt for attempt in known), default=0)
            for one in used:
                if one.model in models - taken:
                    number += 1
                    await self._add(owner, batch, one, number, digest, version)
        return await self._is_done(batch.id, models)

    async def _add(self, owner: Owner, batch: Finished, used: Used, number: int, digest: str, version: str) -> None:
        now = int(self._clock() * 1e6)
        ticket = self._ledger.reserve(
            Reservation(
                request_id=batch.id,
                attempt=number,
                began_at=min(batch.ended_at * 1_000_000, now) or now,
                endpoint="/v1/batches",
                key_id=owner.key_id,
                team=owner.team,
                project=owner.project,
                provider=owner.provider,
                deployment=used.model,
                model=used.model,
                digest=digest,
                held_nano=used.cost.nano_usd,
            )
        )
        try:
            await ticket
        except BaseException:
            ticket.settle(Settlement(state="void", ended_at=now, code="not_sent", cost_nano=0))
            raise
        ticket.settle(_settlement(used, batch, now, version))
        tokens = used.usage.input_tokens + used.usage.output_tokens if used.usage is not None else 0
        _log.info("batch_booked", batch=batch.id, model=used.model, team=owner.team, cost_nano=used.cost.nano_usd)
        if self._charge is not None:
            try:
                self._charge(owner, used.model, used.cost.nano_usd, tokens)
            except Exception:
                _log.exception("batch_not_charged", batch=batch.id)  # it is in the books; budgets are told by them

    async def _is_done(self, id: str, models: set[str]) -> bool:
        until = time.monotonic() + _SEEN_S
        while True:
            ended = {one.reservation.deployment for one in await self._known(id) if one.state in _DONE}
            if models <= ended:
                return True
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_STEP_S)

    async def _known(self, id: str) -> tuple[Attempt, ...]:
        return await asyncio.to_thread(self._reader.request, id)


def _settlement(used: Used, batch: Finished, now: int, version: str) -> Settlement:
    usage, cost = used.usage or Usage(), used.cost
    source = cost.source
    more: dict[str, int | str] = {name: count for name in _MORE if (count := getattr(usage, name))}
    more["service_tier"] = "batch"
    return Settlement(
        state="estimated" if used.is_guess else "settled",
        ended_at=now,
        status=200,
        code="" if batch.status == "completed" else f"batch_{batch.status}",
        source=usage.source if used.usage is not None else None,
        answering_model=used.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        more_tokens=_encode(more),
        cost_nano=cost.nano_usd,
        lines=_encode(cost.lines) if cost.lines else b"",
        price_source=cost.unpriced or (source.where if source is not None else ""),
        price_version=version if source is not None else "",
        price_date=source.date.isoformat() if source is not None and source.date is not None else "",
    )


_MORE: Final = Usage.__struct_fields__[Usage.__struct_fields__.index("source") + 1 :]


@asynccontextmanager
async def turn(path: Path, patience_s: float) -> AsyncIterator[None]:
    """Have `path` locked against all other processes, and other turns of this one. Raises `Busy`.

    The system ends the turn of a process that dies.
    """
    until = time.monotonic() + patience_s
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Busy(f"{path} is locked") from None
            await asyncio.sleep(_STEP_S)
        yield
    finally:
        os.close(descriptor)
