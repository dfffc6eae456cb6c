"""`gateway webhooks`: try an endpoint, see what waits or was given up, and send it again, while gateways run.

Exit status: 0 done, 1 it could not be done or an endpoint did not take the test, 2 wrong usage.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer

from gateway.errors import ConfigError, GatewayError

if TYPE_CHECKING:  # these take a third of a second to import, which `--help` need not
    from gateway.webhooks.endpoint import Endpoint
    from gateway.webhooks.outbox import Outbox
    from gateway.webhooks.sender import Result

Reader = Callable[[Path | None], tuple[Sequence["Endpoint"], str]]
Format = Literal["table", "json"]

Config = Annotated[Path | None, typer.Option("--config", metavar="F", help="The gateway's configuration file.")]
Shape = Annotated[Format, typer.Option("--format", help="How to print.")]


def build(read: Reader) -> typer.Typer:
    """The verbs of `gateway webhooks`; `read` gives the endpoints of the file of `--config`, and the outbox's URL."""
    app = typer.Typer(name="webhooks", help="Endpoints that are told of events.", no_args_is_help=True)

    @app.command("list")
    def list_(config: Config = None, shape: Shape = "table") -> None:
        """List the endpoints, what waits for each, and whether it still takes events."""
        with _told(), _opened(read, config) as (endpoints, outbox):
            _print([_endpoint(one, outbox) for one in endpoints], shape, "No endpoint is configured.")

    @app.command()
    def test(
        url: Annotated[str | None, typer.Option(metavar="U", help="Only this one: its URL, or its id.")] = None,
        config: Config = None,
    ) -> None:
        """Send each endpoint a test, and say what it answers. One that was disabled and takes it is enabled."""
        with _told(), _opened(read, config) as (endpoints, outbox):
            chosen = [one for one in endpoints if url is None or url in (one.url, one.id)]
            if not chosen:
                raise GatewayError("No endpoint is configured." if url is None else "No endpoint has this URL or id.")
            results = asyncio.run(_try(chosen))
            for one, (result, seconds) in zip(chosen, results, strict=True):
                typer.echo(f"{one.id}  {one.name}  {_said(result)}  {seconds:.3f} s")
                if result.outcome == "ok":
                    outbox.enable(one.id)
            if any(result.outcome != "ok" for result, _ in results):
                raise typer.Exit(1)

    @app.command()
    def pending(
        config: Config = None,
        shape: Shape = "table",
        all_: Annotated[bool, typer.Option("--all", help="What has arrived, too.")] = False,
    ) -> None:
        """List what waits to be delivered, and what was given up."""
        with _told(), _opened(read, config) as (endpoints, outbox):
            names = {one.id: one.name for one in endpoints}
            states = ("pending", "failed", "delivered") if all_ else ("pending", "failed")
            rows = [_delivery(one, names) for one in outbox.find(states)]
            _print(rows, shape, "Nothing waits." if not all_ else "Nothing was sent yet.")

    @app.command()
    def retry(
        event: Annotated[str, typer.Argument(metavar="ID", help="The event's id, evt_...")], config: Config = None
    ) -> None:
        """Send an event again to each endpoint at which it has not arrived; a running gateway does it at once."""
        with _told(), _opened(read, config) as (_, outbox):
            found = outbox.retry(event, time.time())
            if not found:
                raise GatewayError(f"No delivery of {event} waits or was given up.")
            typer.echo(f"{found} {'delivery is' if found == 1 else 'deliveries are'} due now.")

    return app


async def _try(endpoints: Sequence[Endpoint]) -> list[tuple[Result, float]]:
    from gateway.upstream.sweep import Sweep
    from gateway.webhooks.events import trial_event
    from gateway.webhooks.sender import Sender

    sweep = Sweep(asyncio.get_running_loop())
    sweep.start()

    async def once(endpoint: Endpoint) -> tuple[Result, float]:
        sender = Sender(endpoint, sweep)
        event = trial_event(time.time(), secrets.token_hex(8))
        began = time.monotonic()
        try:
            return await sender.send(event.id, event.body(), time.time()), time.monotonic() - began
        finally:
            await sender.aclose()

    try:
        return list(await asyncio.gather(*map(once, endpoints)))
    finally:
        sweep.stop()


def _said(result: Result) -> str:
    hint = {
        "redirect": "redirects are not followed; configure the address that it leads to",
        "address_refused": "its name leads to a private address; set `allow_private: true` if that is meant",
        "dns": "its name cannot be resolved",
        "tls": "its certificate cannot be trusted",
    }.get(result.outcome)
    status = f" ({result.status})" if result.status else ""
    return f"{result.outcome}{status}" + (f": {hint}" if hint else "")


def _endpoint(one: Endpoint, outbox: Outbox) -> dict[str, Any]:
    waiting = [row for row in outbox.find() if row.endpoint == one.id]
    disabled_at = outbox.disabled().get(one.id)
    last = max((row for row in waiting if row.outcome), key=lambda row: row.due_at, default=None)
    return {
        "id": one.id,
        "url": one.name,
        "events": " ".join(one.events),
        "state": "enabled" if disabled_at is None else "disabled",
        "pending": sum(row.state == "pending" for row in waiting),
        "failed": sum(row.state == "failed" for row in waiting),
        "last_failure": None if last is None else last.outcome,
    }


def _delivery(one: Any, names: dict[str, str]) -> dict[str, Any]:
    return {
        "event": one.event,
        "type": one.type,
        "endpoint": names.get(one.endpoint, one.endpoint),
        "state": one.state,
        "created_at": _moment(one.created_at),
        "attempts": one.attempts,
        "outcome": one.outcome,
        "status": one.status,
        "due_at": _moment(one.due_at) if one.state == "pending" else None,
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(rows: list[dict[str, Any]], shape: Format, nothing: str) -> None:
    if shape == "json":
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    if not rows:
        typer.echo(nothing)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name.upper().replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value).replace("[", r"\[") for value in row.values()))
    # Into a pipe or a file nothing is cut to a terminal's width.
    (Console() if sys.stdout.isatty() else Console(width=240)).print(table)


@contextmanager
def _opened(read: Reader, config: Path | None) -> Iterator[tuple[Sequence[Endpoint], Outbox]]:
    endpoints, url = read(config)
    from gateway.webhooks.outbox import Outbox

    outbox = Outbox(url)
    try:
        yield endpoints, outbox
    finally:
        outbox.close()


@contextmanager
def _told() -> Iterator[None]:
    """Our errors on stderr."""
    try:
        yield
    except ConfigError as error:
        for fault in error.faults:
            typer.echo(str(fault), err=True)
        raise typer.Exit(1) from error
    except GatewayError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from error
