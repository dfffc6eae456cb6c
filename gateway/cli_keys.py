"""`gateway keys`: make, list, rotate and revoke keys, while gateways run.

Only a new key is ever printed. Exit status: 0 done, 1 it could not be done, 2 wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from gateway.access.keys import KeyRecord, public_id
from gateway.errors import ConfigError, GatewayError, InvalidRequest
from gateway.model.caller import Role
from gateway.store.listing import describe, moment, old_until, state
from gateway.store.spec import KeySpec, parse_duration, parse_expiry

if TYPE_CHECKING:  # the database's library takes a quarter of a second to import, which `--help` need not
    from gateway.store.keystore import KeyStore

Opener = Callable[[Path | None], "KeyStore"]
Format = Literal["table", "json"]

Config = Annotated[Path | None, typer.Option("--config", metavar="F", help="The gateway's configuration file.")]
Shape = Annotated[Format, typer.Option("--format", help="How to print.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it: its middle part.")]
Models = Annotated[str | None, typer.Option(metavar="A,B", help="The models it may use, as gpt-5-mini,claude-*.")]
Agents = Annotated[str | None, typer.Option(metavar="A,B", help="The agents it may speak for.")]
Requests = Annotated[int | None, typer.Option(metavar="N", help="At most so many requests a minute.")]
Tokens = Annotated[int | None, typer.Option(metavar="N", help="At most so many tokens a minute.")]


def build(open_store: Opener) -> typer.Typer:
    """The verbs of `gateway keys`; `open_store` opens the keys that belong to the file of `--config`, or to none."""
    app = typer.Typer(name="keys", help="Make, list, rotate and revoke keys.", no_args_is_help=True)

    @app.command()
    def create(
        team: Annotated[str, typer.Option(metavar="T", help="Who pays.")],
        project: Annotated[str, typer.Option(metavar="P", help="On which account.")] = "default",
        name: Annotated[str, typer.Option(metavar="N", help="What people call it.")] = "",
        role: Annotated[Role, typer.Option(help="What it may do on the admin port.")] = "developer",
        models: Models = None,
        agents: Agents = None,
        budget: Annotated[str | None, typer.Option(metavar="USD/day|month", help="As 50/day or 1200/month.")] = None,
        rpm: Requests = None,
        tpm: Tokens = None,
        expires: Annotated[
            str | None, typer.Option(metavar="D", help="A date (its first moment, UTC), or a duration as 30d.")
        ] = None,
        config: Config = None,
        shape: Shape = "table",
    ) -> None:
        """Make a key and show it, this once."""
        with _opened(open_store, config) as store, _usage():
            spec = KeySpec(
                team=team,
                project=project,
                name=name,
                role=role,
                models=_names(models),
                agents=_names(agents),
                budget=budget,
                rpm=rpm,
                tpm=tpm,
                expires_at=None if expires is None else parse_expiry(expires, store.now()),
            )
            record, text = store.create(spec)
            _show_key(record, text, store.now(), shape)

    @app.command("list")
    def list_(
        team: Annotated[str | None, typer.Option(metavar="T", help="Only this team's.")] = None,
        config: Config = None,
        shape: Shape = "table",
    ) -> None:
        """List all keys, the ended ones among them; never their secrets."""
        with _opened(open_store, config) as store:
            records = store.list(team)
            now = store.now()
            if shape == "json":
                _print_json([describe(record, now) for record in records])
            else:
                _console().print(_table(records, now))

    @app.command()
    def rotate(
        key_id: KeyId,
        overlap: Annotated[str, typer.Option(metavar="D", help="How long the old secret goes on working.")] = "24h",
        config: Config = None,
        shape: Shape = "table",
    ) -> None:
        """Give a key a new secret, and show it; the old one works on for the overlap."""
        with _opened(open_store, config) as store, _usage():
            overlap_s = parse_duration(overlap, "overlap")
            record, text = store.rotate(_id(key_id), overlap_s)
            _show_key(record, text, store.now(), shape)

    @app.command()
    def revoke(key_id: KeyId, config: Config = None, shape: Shape = "table") -> None:
        """End a key for good, on every running gateway within a second."""
        with _opened(open_store, config) as store:
            record = store.revoke(_id(key_id))
            if shape == "json":
                _print_json(describe(record, store.now()))
            else:
                typer.echo(f"Key {record.id} {_of(record)} is revoked since {moment(record.revoked_at)}.")

    return app


@contextmanager
def _opened(open_store: Opener, config: Path | None) -> Iterator[KeyStore]:
    """The store, closed at the end; our errors on stderr with exit status 1."""
    try:
        store = open_store(config)
        try:
            yield store
        finally:
            store.close()
    except ConfigError as error:
        for fault in error.faults:
            typer.echo(str(fault), err=True)
        raise typer.Exit(1) from error
    except GatewayError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from error


@contextmanager
def _usage() -> Iterator[None]:
    """What was typed wrong, as typer reports it: exit status 2."""
    try:
        yield
    except InvalidRequest as error:
        hint = None if error.param is None else f"--{error.param}"
        raise typer.BadParameter(error.message.removeprefix(f"{error.param}: "), param_hint=hint) from error


def _names(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(name.strip() for name in text.split(",") if name.strip())


def _id(text: str) -> str:
    """The id, also where a whole key was pasted: whoever found a leaked one has just that."""
    return public_id(text) or text


def _show_key(record: KeyRecord, text: str, now: int, shape: Format) -> None:
    if shape == "json":
        _print_json({"id": record.id, "key": text, **describe(record, now)})
        return
    typer.echo(f"Key {record.id} {_of(record)}:\n\n{text}\n")
    typer.echo("Keep it now: it is shown this once. Only a hash of it is stored.")
    if record.former:
        until = old_until(record, now)
        typer.echo("The old key works no more." if until is None else f"The old key works until {moment(until)}.")


def _of(record: KeyRecord) -> str:
    caller = record.caller
    called = f" ({caller.name})" if caller.name else ""
    return f"of team {caller.team}, project {caller.project}{called}"


def _table(records: Sequence[KeyRecord], now: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("ID", no_wrap=True)
    for heading in ("TEAM", "PROJECT", "NAME", "ROLE", "SCOPE", "LIMITS", "EXPIRES", "STATE"):
        table.add_column(heading, overflow="fold")
    for record in records:
        caller = record.caller
        table.add_row(
            record.id,
            *(_plain(text) for text in (caller.team, caller.project, caller.name, caller.role)),
            _plain(_scope(record)),
            _limits(record),
            (moment(record.expires_at) or "never").replace("T00:00:00Z", ""),
            state(record, now),
        )
    return table


def _scope(record: KeyRecord) -> str:
    parts = (("", record.caller.models), ("agents ", record.caller.agents))
    return "; ".join(what + ",".join(sorted(names)) for what, names in parts if names is not None) or "all"


def _limits(record: KeyRecord) -> str:
    parts = (("$", record.budget, ""), ("", record.rpm, " rpm"), ("", record.tpm, " tpm"))
    return ", ".join(f"{before}{value}{after}" for before, value, after in parts if value is not None) or "none"


def _plain(text: str) -> str:
    """A name is text, not rich's markup."""
    return text.replace("[", r"\[")


def _print_json(value: object) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _console() -> Console:
    # Into a pipe or a file nothing is cut to a terminal's width.
    return Console() if sys.stdout.isatty() else Console(width=240)
