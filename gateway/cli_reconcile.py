"""`gateway reconcile` compares an invoice with the ledger; `gateway close-month` freezes what a month added up to.

Exit status: 0 done, and no difference beyond the tolerance; 1 differences, lines that could not be read, or it could
not be done; 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from gateway.errors import ConfigError, GatewayError, InvalidRequest

if TYPE_CHECKING:  # the database's library and the price catalogue take half a second, which `--help` need not
    from gateway.pricing.table import PriceTable
    from gateway.reconcile.invoices import Names
    from gateway.reconcile.job import Compared
    from gateway.reports.base import Table

Ledger = Callable[[Path | None], Path]
"""The ledger's file, of the configuration that was named, or of none."""
Prices = Callable[[Path | None], "PriceTable"]
"""The price table of the same configuration."""
FormatName = Literal["table", "csv", "json"]
InvoiceFormat = Literal["auto", "openai-costs", "anthropic-costs", "anthropic-csv", "csv"]

SHOWN_FAULTS = 20

Config = Annotated[Path | None, typer.Option("--config", metavar="F", help="The gateway's configuration file.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="F", help="Write here, not to the standard output.")]
Shape = Annotated[FormatName, typer.Option("--format", help="How to write it.")]
Provider = Annotated[str, typer.Option("--provider", metavar="P", help="The provider, as the configuration names it.")]
Invoice = Annotated[Path, typer.Option("--invoice", metavar="F", help="The provider's invoice or cost export.")]
MonthText = Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="The month that it is for.")]
Kind = Annotated[InvoiceFormat, typer.Option("--invoice-format", help="What the invoice is; `auto` looks at it.")]
Map = Annotated[
    Path | None,
    typer.Option("--map", metavar="F", help="YAML or JSON: `columns` of a CSV, `models` and `meters` by its words."),
]
Tolerance = Annotated[str, typer.Option("--tolerance", metavar="USD", help="Differences of so much pass.")]
Detail = Annotated[bool, typer.Option("--detail", help="A row for each day.")]
Book = Annotated[bool, typer.Option("--book", help="Book what is explained to the closed month, as corrections.")]
Kinds = Annotated[str | None, typer.Option("--kinds", metavar="A,B", help="Book only these kinds of difference.")]
MonthName = Annotated[str | None, typer.Argument(metavar="YYYY-MM", help="The month to close.")]
List = Annotated[bool, typer.Option("--list", help="List the closed months, and check their digests.")]


class Verbs(NamedTuple):
    """Two commands, for an application to name `reconcile` and `close-month`."""

    reconcile: Callable[..., None]
    close_month: Callable[..., None]


def build(ledger: Ledger, clock: Callable[[], float] = time.time, prices: Prices | None = None) -> Verbs:
    """The two verbs. `clock` is Unix time in seconds; `prices` None: the catalogue that is installed."""

    def reconcile(
        provider: Provider,
        invoice: Invoice,
        month: MonthText,
        shape: Shape = "table",
        format: Kind = "auto",
        map_: Map = None,
        tolerance: Tolerance = "0",
        detail: Detail = False,
        book: Book = False,
        kinds: Kinds = None,
        out: Out = None,
        config: Config = None,
    ) -> None:
        """Compare a provider's invoice with the ledger, and explain every difference."""
        with _told():
            asked = _Asked(ledger(config), provider, invoice, _month(month), format, _names(map_), _kinds(kinds, book))
            allowed = _usd(tolerance)
            found = _compare(asked, prices, config)
            if book:
                _book(asked, found, int(clock() * 1_000_000))
                found = _compare(asked, prices, config)
            _show(asked, found, shape, out, detail=detail)
            if found.result.beyond(allowed) or found.invoice.faulty:
                raise typer.Exit(1)

    def close_month(
        month: MonthName = None, list_: List = False, shape: Shape = "table", out: Out = None, config: Config = None
    ) -> None:
        """Freeze a month: its sums never change again; what comes later are corrections."""
        with _told():
            if (month is None) != list_:
                raise typer.BadParameter("name one month to close, or give --list.", param_hint="YYYY-MM")
            now = clock()
            if month is None:
                _list(ledger(config), int(now) // 86400, shape, out)
            else:
                _close(ledger(config), month, int(now * 1_000_000))

    return Verbs(reconcile, close_month)


class _Asked(NamedTuple):
    ledger: Path
    provider: str
    invoice: Path
    month: Any
    format: str
    names: Names
    kinds: tuple[str, ...]


def _compare(asked: _Asked, prices: Prices | None, config: Path | None) -> Compared:
    from gateway.reconcile.job import compare
    from gateway.reconcile.pricelist import PriceList

    table = _installed(asked.provider) if prices is None else prices(config)
    listed = PriceList(table, asked.provider)
    return compare(
        asked.ledger, asked.invoice, asked.provider, asked.month, listed, format=asked.format, names=asked.names
    )


def _installed(provider: str) -> PriceTable:
    from gateway.pricing.catalogue import bundled
    from gateway.pricing.contracts import Book
    from gateway.pricing.corrections import corrections
    from gateway.pricing.table import PriceTable

    return PriceTable(Book(), corrections(), bundled(), {provider: provider})


def _book(asked: _Asked, found: Compared, now: int) -> None:
    from gateway.reconcile.job import book
    from gateway.reports.sums import dollars

    made = book(asked.ledger, found, asked.invoice, asked.provider, asked.month, asked.kinds, now)
    amount = dollars(sum(one.nano for one in made))
    print(f"{len(made)} corrections of {asked.month.name} were booked, {amount} USD in all.", file=sys.stderr)


def _show(asked: _Asked, found: Compared, shape: FormatName, out: Path | None, *, detail: bool) -> None:
    from gateway.reconcile import standing, tables

    notes = [*tables.outside(found.invoice.other)]
    notes += [tables.standing(one) for one in standing.read(asked.ledger) if one.closed.month == asked.month.name]
    if not found.result.attempts:
        known = ", ".join(f"`{name}`" for name in found.providers)
        notes.append(
            f"The ledger has no calls of `{asked.provider}` in this month; it has those of {known or 'nobody'}."
        )
    if faulty := found.invoice.faulty:
        notes.append(f"{faulty} lines of the invoice could not be read, and are in no sum.")
        for fault in found.invoice.faults[:SHOWN_FAULTS]:
            print(f"{asked.invoice.name}: {fault}", file=sys.stderr)
        if faulty > SHOWN_FAULTS:
            print(f"{asked.invoice.name}: and {faulty - SHOWN_FAULTS} more", file=sys.stderr)
    table = tables.table(found.result, asked.provider, asked.month, detail=detail, notes=notes)
    _write(table, shape, out, tables.to_json(table, found.result) if shape == "json" else None)


def _close(path: Path, month: str, now: int) -> None:
    from gateway.ledger import months
    from gateway.reports.sums import dollars

    found = months.close(path, _month(month), now)
    print(
        f"{found.month} is closed: {found.attempts} attempts, {dollars(found.cost_nano)} USD"
        f" ({found.unpriced} without a price, {found.unknown} with an unknown end). Digest {found.digest}."
    )


def _list(path: Path, today: int, shape: FormatName, out: Path | None) -> None:
    from gateway.reconcile import standing, tables

    found = standing.read(path)
    _write(tables.months(found, today), shape, out, None)
    if not all(one.is_whole for one in found):
        raise typer.Exit(1)


def _write(table: Table, shape: FormatName, out: Path | None, made: bytes | None) -> None:
    from gateway.reports.formats import FORMATS, terminal

    if out is None and shape == "table" and sys.stdout.isatty():
        from rich.console import Console

        terminal.show(table, Console())
        return
    text = FORMATS[shape].write(table) if made is None else made
    if out is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    part = out.with_name(f"{out.name}.part")
    try:
        part.write_bytes(text)
        os.replace(part, out)
    except OSError as error:
        raise GatewayError(f"{out}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _month(text: str) -> Any:
    from gateway.ledger.months import month_of

    return month_of(text)


def _usd(text: str) -> int:
    try:
        found = Decimal(text)
        if found < 0 or not found.is_finite():
            raise ValueError
        return int(found.scaleb(9).to_integral_exact())
    except (ValueError, InvalidOperation, OverflowError):
        raise InvalidRequest(f"`{text}` is not dollars, as 0.05.", param="tolerance") from None


def _kinds(text: str | None, book: bool) -> tuple[str, ...]:
    from gateway.reconcile.kinds import TITLES

    if text is None:
        return ()
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    if not book or not found:
        raise InvalidRequest("it says what to book, and goes with --book.", param="kinds")
    if wrong := [name for name in found if name not in TITLES]:
        raise InvalidRequest(f"there is no kind `{wrong[0]}`; they are {', '.join(TITLES)}.", param="kinds")
    return found


def _names(path: Path | None) -> Names:
    import yaml

    from gateway.reconcile.invoices import Names

    if path is None:
        return Names()
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}", param="map") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"{path}: {str(error).splitlines()[0]}", param="map") from error
    parts = ("columns", "models", "meters")
    if not isinstance(found, dict) or set(found) - set(parts):
        raise InvalidRequest(f"{path}: it may have {', '.join(parts)}, and nothing else.", param="map")
    return Names(*(_texts(path, name, found.get(name)) for name in parts))


def _texts(path: Path, name: str, found: object) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, str) for key, value in found.items()
    ):
        raise InvalidRequest(f"{path}: {name} is to be a map of text to text.", param="map")
    return dict(found)


@contextmanager
def _told() -> Iterator[None]:
    """Our errors on stderr: 2 for what was typed wrong, 1 for the rest."""
    try:
        yield
    except InvalidRequest as error:
        hint = None if error.param is None else f"--{error.param}"
        raise typer.BadParameter(error.message, param_hint=hint) from error
    except ConfigError as error:
        _print(error.faults)
        raise typer.Exit(1) from error
    except GatewayError as error:
        print(error.message, file=sys.stderr)
        raise typer.Exit(1) from error


def _print(faults: Sequence[object]) -> None:
    for fault in faults:
        print(fault, file=sys.stderr)
