"""`gateway report NAME`: every report that is installed is a verb of its own, with its parameters; and `focus`.

Exit status: 0 done, 1 it could not be done, 2 wrong usage.
"""

from __future__ import annotations

import inspect
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from gateway.errors import ConfigError, GatewayError, InvalidRequest
from gateway.reports.base import TODAY, Parameter, Report, Table
from gateway.reports.books import Books
from gateway.reports.listing import reports
from gateway.reports.period import Period, period_of

if TYPE_CHECKING:  # the catalogue's library takes a quarter of a second to import, which `--help` need not
    from gateway.pricing.table import PriceTable

Ledger = Callable[[Path | None], Path]
"""The ledger's file, of the configuration that was named, or of none."""
Prices = Callable[[Path | None], "PriceTable"]
"""What calls cost by that configuration today; asked only where a report reprices."""
FormatName = Literal["table", "csv", "json", "xlsx", "html"]

Config = Annotated[Path | None, typer.Option("--config", metavar="F", help="The gateway's configuration file.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="D", help="The first day, or month; UTC. Default: this month's first.")
]
To = Annotated[str | None, typer.Option("--to", metavar="D", help="The last day, or month, included. Default: today.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="F", help="Write here, not to the standard output.")]
Shape = Annotated[FormatName, typer.Option("--format", help="How to write it.")]


def build(ledger: Ledger, prices: Prices, clock: Callable[[], float] = time.time) -> typer.Typer:
    """The verbs of `gateway report`. `clock` is Unix time in seconds."""
    app = typer.Typer(name="report", help="Cost reports, and the ledger's calls.", no_args_is_help=True)
    for report in reports().values():
        app.command(report.name, help=report.summary)(_verb(report, ledger, prices, clock))

    @app.command()
    def focus(
        version: Annotated[Literal["1.2"], typer.Option(help="The version of FOCUS.")] = "1.2",
        from_: From = None,
        to: To = None,
        out: Out = None,
        grain: Annotated[
            Literal["call", "day"], typer.Option(help="A row for each call's meter, or each day's.")
        ] = "call",
        account: Annotated[
            str | None,
            typer.Option(metavar="ID", help="The billing account at the provider. Default: the provider's name."),
        ] = None,
        config: Config = None,
    ) -> None:
        """Export the ledger as FOCUS, the FinOps Open Cost and Usage Specification, in CSV."""
        with _told():
            _export(ledger(config), period_of(from_, to, _today(clock)), grain, account, out)

    return app


def _verb(report: Report, ledger: Ledger, prices: Prices, clock: Callable[[], float]) -> Callable[..., None]:
    """The function that typer calls for a report; its signature has the report's parameters."""

    def run(**given: Any) -> None:
        config, shape, out = given.pop("config"), given.pop("shape"), given.pop("out")
        from_, to = given.pop("from_"), given.pop("to")
        texts = _texts(report, given)
        with _told():
            today = _today(clock)
            period = period_of(from_, to, today)
            report.parse(texts)  # what was typed wrong, before what is wrong with the ledger
            with Books.open(ledger(config)) as books, _progress(lambda: _attempts(books, period)) as books.told:
                table = report.ask(books, period, texts, today, lambda: prices(config))
            _write(table, shape, out)

    asked: dict[str, tuple[Any, object]] = {"from_": (From, None), "to": (To, None)}
    for parameter in report.parameters:
        asked |= _options(parameter)
    asked |= {"shape": (Shape, "table"), "out": (Out, None), "config": (Config, None)}
    kind = inspect.Parameter.KEYWORD_ONLY
    run.__annotations__ = {name: hint for name, (hint, _) in asked.items()} | {"return": None}
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, kind, default=default, annotation=hint) for name, (hint, default) in asked.items()]
    )
    return run


def _options(parameter: Parameter) -> dict[str, tuple[Any, object]]:
    """What is typed for a parameter; for a day `--name` alone, which is today, and `--name-at D`."""
    text = parameter.help
    if parameter.kind == "day":
        at = typer.Option(f"--{parameter.name}-at", metavar="D", help=f"As --{parameter.name}, of this day.")
        return {
            parameter.name: (Annotated[bool, typer.Option(f"--{parameter.name}", help=text)], False),
            f"{parameter.name}_at": (Annotated[str | None, at], None),
        }
    if parameter.choices:
        text += f" Of: {', '.join(parameter.choices)}."
    if parameter.default:
        text += f" Default: {parameter.default}."
    metavar = {"names": "A,B", "usd": "USD", "count": "N", "number": "X"}.get(parameter.kind, "NAME")
    return {
        parameter.name: (Annotated[str | None, typer.Option(f"--{parameter.name}", metavar=metavar, help=text)], None)
    }


def _write(table: Table, shape: FormatName, out: Path | None) -> None:
    # Loaded only here: neither `--help` nor another verb needs it.
    from gateway.reports.formats import FORMATS, terminal

    if out is not None:
        with _replaced(out) as file:
            file.write(FORMATS[shape].write(table))
    elif shape == "table" and sys.stdout.isatty():
        from rich.console import Console

        terminal.show(table, Console())
    elif shape == "xlsx" and sys.stdout.isatty():
        raise typer.BadParameter("a workbook is no text; name a file.", param_hint="--out")
    else:
        sys.stdout.buffer.write(FORMATS[shape].write(table))
        sys.stdout.buffer.flush()


def _export(path: Path, period: Any, grain: Literal["call", "day"], account: str | None, out: Path | None) -> None:
    from gateway.reports.focus import Export
    from gateway.reports.sums import dollars, partial, total

    with Books.open(path) as books:
        export = Export(books, period, grain, account)
        whole = total(books, period, {})
        with _replaced(out) if out is not None else _stdout() as file, _progress(lambda: whole.attempts) as advance:
            for chunk in export.chunks():
                file.write(chunk.encode())
                advance(export.attempts)
        missing = partial(books, period)
    print(
        f"{export.rows} rows of {export.attempts} attempts, {dollars(export.nano)} USD"
        f" ({export.unpriced} attempts without a price, {export.unknown} with an unknown end).",
        file=sys.stderr,
    )
    for sentence in missing:
        print(sentence, file=sys.stderr)
    if export.nano != whole.cost_nano:
        print(f"The ledger's daily sums are {dollars(whole.cost_nano)} USD: the rows do not add up.", file=sys.stderr)
        raise typer.Exit(1)


def _texts(report: Report, given: dict[str, Any]) -> dict[str, str]:
    """What was typed, by parameter."""
    texts = {}
    for parameter in report.parameters:
        text = given[parameter.name]
        if parameter.kind == "day":
            text = given[f"{parameter.name}_at"] or (TODAY if text else None)
        if text is not None:
            texts[parameter.name] = text
    return texts


def _attempts(books: Books, period: Period) -> int:
    from gateway.reports.sums import total

    return total(books, period, {}).attempts


@contextmanager
def _progress(expected: Callable[[], int]) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, from the first that is done; nothing elsewhere. `expected` counts what there is to do."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task: TaskID | None = None

    def advance(done: int) -> None:
        nonlocal task
        if task is None:
            task = bar.add_task("read", total=expected())
            bar.start()
        bar.update(task, completed=done)

    try:
        yield advance
    finally:
        bar.stop()


@contextmanager
def _replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there when it is whole: a broken export does not look like a finished one."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _stdout() -> Iterator[IO[bytes]]:
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


@contextmanager
def _told() -> Iterator[None]:
    """Our errors on stderr: 2 for what was typed wrong, 1 for the rest."""
    try:
        yield
    except InvalidRequest as error:
        hint = None if error.param is None else f"--{error.param}"
        raise typer.BadParameter(error.message.removeprefix(f"{error.param}: "), param_hint=hint) from error
    except ConfigError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        raise typer.Exit(1) from error
    except GatewayError as error:
        print(error.message, file=sys.stderr)
        raise typer.Exit(1) from error


def _today(clock: Callable[[], float]) -> int:
    return int(clock()) // 86400
