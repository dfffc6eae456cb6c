"""`gateway ledger`: whether it holds together, what is open in it, and moving old history out, while gateways run.

Exit status: 0 done, 1 faults were found or it could not be done, 2 wrong usage.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import orjson
import typer

from gateway.errors import GatewayError
from gateway.model.price import dollars

Ledger = Callable[[Path | None], Path]
"""The ledger's file, of the configuration that was named, or of none."""

_T = TypeVar("_T")

Config = Annotated[Path | None, typer.Option("--config", metavar="F", help="The gateway's configuration file.")]
Shape = Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")]


def build(ledger: Ledger) -> typer.Typer:
    """The verbs of `gateway ledger`."""
    app = typer.Typer(name="ledger", help="The ledger: check it, look into it, move history out.", no_args_is_help=True)

    @app.command()
    def verify(config: Config = None, shape: Shape = "table") -> None:
        """Check that rows, ends and daily sums agree. Reads all of it: seconds for every million rows."""
        from gateway.ledger import Reader

        found = _read(lambda: Reader(_existing(ledger(config))).verify())
        if shape == "json":
            report = {
                "attempts": found.attempts,
                "in_flight": found.in_flight,
                "cost_usd": dollars(found.cost_nano),
                "faults": list(found.faults),
            }
            typer.echo(orjson.dumps(report).decode())
        else:
            typer.echo(f"{found.attempts} attempts, {found.in_flight} of them open, {dollars(found.cost_nano)} USD")
            for fault in found.faults:
                typer.echo(fault, err=True)
            typer.echo("no faults" if not found.faults else f"{len(found.faults)} faults")
        raise typer.Exit(1 if found.faults else 0)

    @app.command()
    def spool(config: Config = None, shape: Shape = "table") -> None:
        """What has begun and not ended: calls at work, and those of processes that died a moment ago."""
        from gateway.ledger import Reader

        depth = _read(lambda: Reader(_existing(ledger(config))).depth())
        typer.echo(orjson.dumps({"open": depth}).decode() if shape == "json" else f"{depth} attempts are open")

    @app.command()
    def rotate(
        before: Annotated[str, typer.Option(metavar="D", help="Move what began before this day (UTC): 2026-01-01.")],
        archive: Annotated[Path, typer.Option(metavar="F", help="The archive, a ledger of the same form.")],
        config: Config = None,
    ) -> None:
        """Move old history into an archive. The daily sums stay, and with them the reports of old months."""
        from rich.progress import Progress

        from gateway.ledger import rotate as moves

        try:
            day = datetime.strptime(before, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise typer.BadParameter(f"{before!a} is no day; write 2026-01-01.", param_hint="--before") from None
        if day > datetime.now(UTC):
            raise typer.BadParameter(f"{before} has not come yet.", param_hint="--before")
        path = _existing(ledger(config))
        moved = 0
        try:
            with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
                bar = progress.add_task("moving", total=None)
                for count in moves(path, int(day.timestamp()) * 1_000_000, archive=archive):
                    moved += count
                    progress.update(bar, description=f"moved {moved}")
        except (GatewayError, OSError, sqlite3.Error) as error:
            typer.echo(f"{error} ({moved} attempts were moved before)", err=True)
            raise typer.Exit(1) from error
        typer.echo(f"{moved} attempts moved to {archive}")

    return app


def _existing(path: Path) -> Path:
    if not path.exists():
        typer.echo(f"{path}: there is no ledger yet; has a gateway run here?", err=True)
        raise typer.Exit(1)
    return path


def _read(ask: Callable[[], _T]) -> _T:
    try:
        return ask()
    except GatewayError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from error
