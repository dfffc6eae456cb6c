"""What providers' prompt caches saved: cached input at its own rate, against the same tokens at the rate of new input.

Writing into a cache may cost more than plain input; that is subtracted. Which rate a call had only its row tells, so
the rows of calls that used a cache are read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.model.price import Line
from gateway.reports.base import FILTERS, Chart, Column, Parameter, Question, Report, Table, Value, money
from gateway.reports.books import Books
from gateway.reports.lines import lines_of
from gateway.reports.rounding import half_even
from gateway.reports.sums import (
    BY_TAG,
    DIMENSIONS,
    TIMES,
    blank,
    columns,
    expressed,
    filters,
    from_rows,
    named,
    partial,
)

_CHOICES: Final = tuple(name for name in DIMENSIONS if name not in ("state", "source"))
_FIGURES: Final = (
    Column("calls", "Calls", "count", "attempts"),
    Column("cache_read_tokens", "Read", "count", "tokens"),
    Column("cache_write_tokens", "Written", "count", "tokens"),
    money("read_saved_usd", "Saved by reads"),
    money("write_extra_usd", "Extra for writes"),
    money("saved_usd", "Saved"),
    Column("not_compared_tokens", "Not compared", "count", "tokens"),
)
_SQL: Final = """SELECT {names} attempt_id, cache_read_tokens, cache_write_tokens, lines FROM {source}
{condition} (cache_read_tokens > 0 OR cache_write_tokens > 0) ORDER BY began_at, attempt_id"""


@dataclass(slots=True)
class _Savings:
    calls: int = 0
    read: int = 0
    written: int = 0
    saved: int = 0
    extra: int = 0
    not_compared: int = 0

    def add(self, read: int, written: int, lines: Iterable[Line]) -> None:
        """One attempt that read and wrote so many tokens."""
        self.calls += 1
        self.read += read
        self.written += written
        self.not_compared += read + written
        by_meter = {line.meter: line for line in lines}
        plain = by_meter.get("input")
        for line in by_meter.values():
            if not line.meter.startswith(("cache_read", "cache_write")):
                continue
            if plain is None or line.meter.endswith(("_audio", "_image", "_video")):
                continue
            self.not_compared -= line.quantity
            if line.meter.startswith("cache_read"):
                self.saved += half_even(line.quantity * (plain.rate - line.rate), line.per)
            else:
                self.extra += half_even(line.quantity * (line.rate - plain.rate), line.per)

    def figures(self) -> tuple[Value, ...]:
        """The cells."""
        return self.calls, self.read, self.written, self.saved, self.extra, self.saved - self.extra, self.not_compared


def _run(books: Books, question: Question) -> Table:
    by: tuple[str, ...] = question["by"]
    source, kept = from_rows(by, filters(question))
    condition = "AND" if kept else "WHERE"
    statement = _SQL.format(names=f"{expressed(by)}, " if by else "", source=source, condition=condition)
    found: dict[tuple[object, ...], _Savings] = defaultdict(_Savings)
    whole = _Savings()
    before = None
    for *group, attempt_id, read, written, text in books.stream(
        statement, [question.period.begins_us, question.period.ends_us, *kept]
    ):
        lines = lines_of(text)
        found[tuple(group)].add(read, written, lines)
        if attempt_id != before:  # with several tags it comes several times, one after the other
            whole.add(read, written, lines)
        before = attempt_id
    timed = bool(by) and by[0] in TIMES
    ordered = sorted(found.items(), key=lambda one: (one[0] if timed else (), one[1].extra - one[1].saved, one[0]))
    return Table(
        report="cache-savings",
        title="Cache savings by " + ", ".join(by) if by else "Cache savings",
        period=question.period,
        columns=(*columns(by), *_FIGURES),
        rows=tuple((*named(by, group), *savings.figures()) for group, savings in ordered),
        totals=(*blank(by), *whole.figures()) if by and found else None,
        notes=(
            "Not compared: tokens without a price, or of calls without any new input (no rate to compare with), and of"
            " sound and images.",
            *((BY_TAG,) if "tag" in by else ()),
            *partial(books, question.period),
        ),
        chart=Chart("line" if timed else "bar", by, "saved_usd") if by else None,
    )


REPORT: Final = Report(
    "cache-savings",
    "Cache savings",
    "What providers' prompt caches saved, less what writing into them cost.",
    (Parameter("by", "names", "What to group by.", "provider,model", _CHOICES), *FILTERS),
    _run,
)
