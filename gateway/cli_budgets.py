"""`gateway budgets`: what every budget is, what of it is spent and held, and when it starts anew, while gateways run.

Exit status: 0 done, 1 the budgets could not be read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from gateway.errors import ConfigError, GatewayError
from gateway.limits.refusal import dollars, moment

if TYPE_CHECKING:  # the database's library takes a quarter of a second to import, which `--help` need not
    from gateway.store.leases import BudgetState

Reader = Callable[[Path | None], tuple[Sequence["BudgetState"], float]]
Format = Literal["table", "json"]

Config = Annotated[Path | None, typer.Option("--config", metavar="F", help="The gateway's configuration file.")]
Shape = Annotated[Format, typer.Option("--format", help="How to print.")]
All = Annotated[bool, typer.Option("--all", help="The windows that have ended, too.")]


def build(read: Reader) -> typer.Typer:
    """The verbs of `gateway budgets`; `read` gives the budgets of the file of `--config`, and the time it is."""
    app = typer.Typer(name="budgets", help="What is spent, held and left of every budget.", invoke_without_command=True)

    @app.callback()
    def budgets(context: typer.Context, config: Config = None, shape: Shape = "table", all_: All = False) -> None:
        """What is spent, held and left of every budget; those that no call fell under yet are not listed."""
        if context.invoked_subcommand is None:
            _list(read, config, shape, with_ended=all_)

    @app.command("list")
    def list_(config: Config = None, shape: Shape = "table", all_: All = False) -> None:
        """List the budgets."""
        _list(read, config, shape, with_ended=all_)

    return app


def _list(read: Reader, config: Path | None, shape: Format, *, with_ended: bool) -> None:
    try:
        found, now = read(config)
    except ConfigError as error:
        for fault in error.faults:
            typer.echo(str(fault), err=True)
        raise typer.Exit(1) from error
    except GatewayError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from error
    shown = [budget for budget in found if with_ended or now < budget.ends]
    if shape == "json":
        from gateway.store.budget_listing import describe_budget

        typer.echo(orjson.dumps([describe_budget(budget) for budget in shown], option=orjson.OPT_INDENT_2).decode())
    elif shown:
        _console().print(_table(shown))
    else:
        typer.echo("No call has fallen under a budget yet.")


def _table(found: Iterable[BudgetState]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("SCOPE", "LIMIT"):
        table.add_column(heading, overflow="fold")
    for heading in ("CAP", "SPENT", "HELD", "LEFT"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("RESETS", overflow="fold")
    for budget in found:
        scope, _, limit = budget.id.rpartition(" ")
        shown = dollars if budget.kind == "usd" else str
        spent = shown(budget.spent) if budget.kind == "usd" else ""
        resets = "never" if moment(budget.ends) is None else str(moment(budget.ends))
        table.add_row(
            scope.replace("[", r"\["),  # a name is text, not rich's markup
            limit,
            shown(budget.cap),
            spent,
            shown(budget.held),
            shown(budget.left),
            resets if budget.kind == "usd" else "each minute" if budget.kind in ("rpm", "tpm") else "",
        )
    return table


def _console() -> Console:
    # Into a pipe or a file nothing is cut to a terminal's width.
    return Console() if sys.stdout.isatty() else Console(width=240)
