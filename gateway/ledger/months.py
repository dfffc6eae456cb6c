"""Closed months: what a month added up to is stored once, with a digest, and what comes afterwards stands beside it.

`close` reads the month's rows in a snapshot that holds up nobody, and then writes in one short transaction, if nothing
came in between; gateways go on meanwhile. From then on an attempt that still comes into the month is named in `late` (a
trigger does that), and what an invoice corrects is a row of `corrections`. The frozen sums are never touched again.

These functions block.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import GatewayError, InvalidRequest, Unavailable
from gateway.ledger.file import LedgerFile
from gateway.ledger.upgrade import upgrade
from gateway.model.price import Line

DAY_US: Final = 86_400_000_000
REST: Final = "rest"
"""The meter of cost that the priced meters do not explain."""

TRIALS: Final = 5
"""Times that a month is read anew because something came into it meanwhile."""
PATIENCE_S: Final = 10.0
"""How long to wait for the turn to write."""

_LINES: Final = msgspec.json.Decoder(list[Line])
_Key = tuple[int, str, str, str]
_Sum = tuple[int, int]


class Refused(GatewayError):
    """The month cannot be closed, or nothing can be booked to it; the message says what to do."""


class Month(msgspec.Struct, frozen=True):
    """A month by its name, `2026-10`; `begins` and `ends` in microseconds since 1970, the end excluded."""

    name: str
    begins: int
    ends: int

    @property
    def first(self) -> int:
        """Its first day, counted since 1970."""
        return self.begins // DAY_US

    @property
    def last(self) -> int:
        """Its last day."""
        return self.ends // DAY_US - 1


class Closed(msgspec.Struct, frozen=True):
    """A closed month. `unknown` attempts have no cost, and may have cost at most `held_nano` in all."""

    month: str
    closed_at: int
    attempts: int
    unpriced: int
    unknown: int
    cost_nano: int
    held_nano: int
    digest: str


def month_of(text: str) -> Month:
    """The month that `2026-10` names. Raises `InvalidRequest`."""
    try:
        if len(text) != 7:
            raise ValueError
        begins = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest(f"`{text}` is no month; write 2026-10.", param="month") from None
    ends = begins.replace(year=begins.year + begins.month // 12, month=begins.month % 12 + 1)
    return Month(text, int(begins.timestamp()) * 1_000_000, int(ends.timestamp()) * 1_000_000)


def close(path: Path, month: Month, now: int) -> Closed:
    """Freeze a month; `now` in microseconds since 1970. Durable when it returns.

    Raises `Refused` if it has not ended, is closed already, has attempts that have not ended, or lost rows to an
    archive; `Unavailable` if the ledger does not answer; `ConfigError` if it is a newer gateway's.
    """
    if now < month.ends:
        raise Refused(f"{month.name} has not ended; it can be closed from {_iso(month.ends)} (UTC) on.")
    with writable(path) as file:
        for _ in range(TRIALS):
            with closing(_reading(path)) as snapshot:
                _check(snapshot, month)
                seen, rows = _marker(snapshot, month), _sums(snapshot, month)
            found = _closed(month, now, seen, rows)
            with turn(file) as connection:
                _check(connection, month)
                if _marker(connection, month) == seen:
                    _store(connection, month, found, rows)
                    return found
        raise Refused(f"Calls of {month.name} are still being written; close it when they have ended.")


def closed(connection: sqlite3.Connection) -> list[Closed]:
    """The months that are closed, the first first; none in a ledger that knows no such thing yet."""
    if not knows_months(connection):
        return []
    names = ", ".join(Closed.__struct_fields__)
    return [Closed(*row) for row in connection.execute(f"SELECT {names} FROM closed_months ORDER BY month")]


def knows_months(connection: sqlite3.Connection) -> bool:
    """Whether the ledger has the tables: one that only an older gateway has opened has none."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'closed_months'").fetchone() is not None


def is_whole(connection: sqlite3.Connection, found: Closed) -> bool:
    """Whether the frozen rows are those that the digest was made of."""
    rows = {
        (day, provider, model, meter): (quantity, nano)
        for day, provider, model, meter, quantity, nano in connection.execute(
            "SELECT day, provider, model, meter, quantity, nano FROM frozen WHERE month = ?", (found.month,)
        )
    }
    return _digest(found, rows) == found.digest


def late_nano(connection: sqlite3.Connection, month: str) -> tuple[int, int]:
    """How many attempts came into a closed month after it was closed, and what they cost."""
    row = connection.execute(
        "SELECT COUNT(*), COALESCE(SUM(cost_nano), 0) FROM late JOIN endings USING (attempt_id) WHERE month = ?",
        (month,),
    ).fetchone()
    return int(row[0]), int(row[1])


def _check(connection: sqlite3.Connection, month: Month) -> None:
    """Raises `Refused`."""
    if is_closed(connection, month.name):
        (at, digest) = connection.execute(
            "SELECT closed_at, digest FROM closed_months WHERE month = ?", (month.name,)
        ).fetchone()
        raise Refused(
            f"{month.name} was closed at {_iso(at)} (digest {digest[:12]}) and stays so;"
            " book what has to be corrected with `gateway reconcile --book`."
        )
    kept_from = _one(connection, "SELECT number FROM marks WHERE name = 'kept_from'")
    if kept_from > month.begins:
        raise Refused(
            f"Rows from before {_iso(kept_from)} have been moved out of the ledger, so {month.name} cannot be added up;"
            " close a month before its rows are archived."
        )
    is_open = "FROM pending JOIN reservations USING (attempt_id) WHERE began_at >= ? AND began_at < ?"
    if count := _one(connection, f"SELECT COUNT(*) {is_open}", month):
        (request,) = connection.execute(
            f"SELECT request_id {is_open} ORDER BY began_at", (month.begins, month.ends)
        ).fetchone()
        raise Refused(
            f"{count} attempts of {month.name} have not ended (the first is of {request}). Wait until they have;"
            " those of a gateway that was killed end half a minute after another is running."
        )


def is_closed(connection: sqlite3.Connection, name: str) -> bool:
    return connection.execute("SELECT 1 FROM closed_months WHERE month = ?", (name,)).fetchone() is not None


def _marker(connection: sqlite3.Connection, month: Month) -> _Marker:
    """The month by its daily sums, which change with every row: from them one can tell that none was added."""
    row = connection.execute(
        "SELECT SUM(attempts), SUM(unpriced), SUM(CASE state WHEN 'unknown' THEN attempts ELSE 0 END), SUM(cost_nano),"
        " SUM(held_nano) FROM daily WHERE day >= ? AND day <= ?",
        (month.first, month.last),
    ).fetchone()
    return _Marker(*(number or 0 for number in row))


class _Marker(msgspec.Struct, frozen=True):
    attempts: int
    unpriced: int
    unknown: int
    cost_nano: int
    held_nano: int


def _sums(connection: sqlite3.Connection, month: Month) -> dict[_Key, _Sum]:
    """Quantities and amounts by day, provider, model and meter. Reads the month's rows, one at a time."""
    found: dict[_Key, _Sum] = {}
    rows = connection.execute(
        "SELECT began_at / 86400000000, provider, deployment, cost_nano, lines"
        " FROM reservations AS r INDEXED BY reservations_by_time CROSS JOIN endings AS e ON e.attempt_id = r.attempt_id"
        " WHERE began_at >= ? AND began_at < ? AND cost_nano IS NOT NULL",
        (month.begins, month.ends),
    )
    for day, provider, model, cost, text in rows:
        left = cost
        for line in _lines(text):
            left -= line.nano_usd
            _add(found, (day, provider, model, line.meter), line.quantity, line.nano_usd)
        if left:
            _add(found, (day, provider, model, REST), 0, left)
    return found


def _add(found: dict[_Key, _Sum], key: _Key, quantity: int, nano: int) -> None:
    before = found.get(key, (0, 0))
    found[key] = before[0] + quantity, before[1] + nano


def _lines(text: str | None) -> list[Line]:
    try:
        return _LINES.decode(text) if text else []
    except msgspec.MsgspecError:
        return []  # in a form that an older gateway wrote: all of the cost is `rest`


def _closed(month: Month, now: int, seen: _Marker, rows: Mapping[_Key, _Sum]) -> Closed:
    added = sum(nano for _, nano in rows.values())
    if added != seen.cost_nano:
        raise Refused(
            f"The rows of {month.name} add up to {added} nano-dollars, the daily sums to {seen.cost_nano}:"
            " the ledger is damaged, and nothing was closed."
        )
    bare = Closed(
        month.name, now, seen.attempts, seen.unpriced, seen.unknown, seen.cost_nano, seen.held_nano, digest=""
    )
    return msgspec.structs.replace(bare, digest=_digest(bare, rows))


def _digest(found: Closed, rows: Mapping[_Key, _Sum]) -> str:
    head = msgspec.structs.astuple(found)[:-1]
    seen = hashlib.sha256(repr(head).encode())
    for key in sorted(rows):
        seen.update(repr((*key, *rows[key])).encode())
    return seen.hexdigest()


def _store(connection: sqlite3.Connection, month: Month, found: Closed, rows: Mapping[_Key, _Sum]) -> None:
    connection.execute("INSERT INTO closed_months VALUES (?, ?, ?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(found))
    connection.executemany(
        "INSERT INTO frozen VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(month.name, *key, *rows[key]) for key in sorted(rows)],
    )
    connection.execute("UPDATE marks SET number = MAX(number, ?) WHERE name = 'closed_until'", (month.ends,))


@contextmanager
def writable(path: Path) -> Iterator[LedgerFile]:
    """The ledger, its tables up to date. Raises `Unavailable` for whatever the database does."""
    if not path.is_file():
        raise _unavailable(path, "there is no such file")
    try:
        upgrade(path)
        with closing(LedgerFile(path)) as file:
            yield file
    except (sqlite3.Error, OSError) as error:
        raise _unavailable(path, str(error)) from error


@contextmanager
def turn(file: LedgerFile) -> Iterator[sqlite3.Connection]:
    """A transaction that writes, when it is our turn."""
    until = time.monotonic() + PATIENCE_S
    with ExitStack() as entered:
        while True:
            try:
                connection = entered.enter_context(file.transaction())
                break
            except sqlite3.OperationalError:  # somebody who takes no turns has the file locked
                if time.monotonic() > until:
                    raise
        yield connection


def _reading(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0, isolation_level=None)
    connection.execute("BEGIN")
    return connection


def _one(connection: sqlite3.Connection, sql: str, month: Month | None = None) -> int:
    (found,) = connection.execute(sql, (month.begins, month.ends) if month else ()).fetchone()
    return int(found or 0)


def _unavailable(path: Path, why: str) -> Unavailable:
    return Unavailable(f"The ledger {path.name} did not answer: {why}.", code="ledger_unavailable", retry_after_s=1)


def _iso(micros: int) -> str:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M")
