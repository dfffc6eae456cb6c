"""The command line: `gateway <verb>`. The one place that reads the environment.

Exit status: 0 done, 1 found faults, 2 wrong usage. Verbs that change state work while a gateway runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer

from gateway import cli_budgets, cli_import, cli_keys, cli_ledger, cli_reconcile, cli_reports, cli_webhooks
from gateway.errors import ConfigError, Fault

if TYPE_CHECKING:  # importing these takes a third of a second, which `--help` need not
    from gateway.config.loader import Loader
    from gateway.config.snapshot import Snapshot
    from gateway.pricing.table import PriceTable
    from gateway.store.bootstrap import FirstKeys
    from gateway.store.keystore import KeyStore
    from gateway.store.leases import BudgetState
    from gateway.webhooks import Endpoint

Config = Annotated[Path | None, typer.Option("--config", metavar="F", help="The configuration file, gateway.yaml.")]
Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")]

app = typer.Typer(
    name="gateway",
    help="An async reverse proxy between applications and LLM providers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except ConfigError as error:
        _print_faults(error.faults)
        sys.exit(1)


def _loader(config: Path | None, server: dict[str, object] | None = None) -> Loader:
    """Where the files are: `--config`, else GATEWAY_CONFIG, else ./gateway.yaml if there is one, else none."""
    from gateway.config.loader import Loader

    named = config or (Path(os.environ["GATEWAY_CONFIG"]) if os.environ.get("GATEWAY_CONFIG") else None)
    if named is not None and not named.is_file():
        raise ConfigError([Fault(str(named), None, "there is no such file")])
    found = named or (Path("gateway.yaml") if Path("gateway.yaml").is_file() else None)
    data_dir = Path(os.environ.get("GATEWAY_DATA") or "data").absolute()
    given = {name: value for name, value in (server or {}).items() if value is not None}
    return Loader(found.absolute() if found is not None else None, dict(os.environ), data_dir, given)


def _print_faults(faults: list[Fault]) -> None:
    for fault in faults:
        print(fault, file=sys.stderr)


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(metavar="H", help="The address of the data port.")] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="The data port.")] = None,
    admin_port: Annotated[int | None, typer.Option(metavar="N", help="The port of health, metrics, console.")] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes that share the data port.")] = None,
) -> None:
    """Run the gateway."""
    from gateway import server

    loader = _loader(config, {"host": host, "port": port, "admin_port": admin_port, "workers": workers})
    server.serve(server.Start(loader, "text" if sys.stderr.isatty() else "json"), _announce)


def _announce(snapshot: Snapshot, keys: FirstKeys, data: tuple[str, int], admin: tuple[str, int]) -> None:
    settings = snapshot.settings.server
    base = f"{'https' if settings.tls else 'http'}://{_reachable(data)}/v1"
    console = f"{'https' if settings.admin_tls else 'http'}://{_reachable(admin)}/console"
    names = snapshot.routes.names or snapshot.routes.patterns
    model = "demo" if "demo" in names else (names[0] if names else "MODEL")
    message = orjson.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]}).decode()
    print(
        f"\nThe gateway is ready. An application needs two settings:\n\n"
        f"    export OPENAI_BASE_URL={base}\n"
        f"    export OPENAI_API_KEY={keys.development}\n\n"
        f"Models: {', '.join(names[:12] + snapshot.routes.patterns[:12])}\n"
        f"Console: {console}   admin key: {keys.admin}\n\n"
        f"Try it:\n\n"
        f"curl {base}/chat/completions -H 'Authorization: Bearer {keys.development}' "
        f"-H 'Content-Type: application/json' -d '{message}'\n",
        flush=True,
    )


def _reachable(address: tuple[str, int]) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address[0], address[0])
    return f"[{host}]:{address[1]}" if ":" in host and not host.startswith("[") else f"{host}:{address[1]}"


@app.command(hidden=True)
def worker(told: str) -> None:
    """Be one worker of several; the supervisor starts this."""
    from gateway import server
    from gateway.config.loader import Loader
    from gateway.runtime import Process

    found: dict[str, Any] = orjson.loads(told)
    data_dir = Path(found["data_dir"])
    config = Path(found["config"]) if found["config"] is not None else None
    process = Process(found["index"], found["workers"], Path(found["run_dir"]), data_dir, found["supervisor"])
    try:
        server.work(process, Loader(config, dict(os.environ), data_dir, found["server"]), found["style"])
    except Exception:
        if os.getppid() == found["supervisor"]:
            raise
        sys.exit(1)  # its supervisor was killed while it started, and the folder that they share may be gone


@app.command()
def check(config: Config = None, format: Format = "table") -> None:
    """Load everything and say what is wrong, with file and line."""
    loader = _loader(config)
    try:
        snapshot = loader.load()
    except ConfigError as error:
        if format == "json":
            faults = [{"file": one.file, "line": one.line, "message": one.message} for one in error.faults]
            print(orjson.dumps({"ok": False, "faults": faults}).decode())
        else:
            _print_faults(error.faults)
        raise typer.Exit(1) from None
    if format == "json":
        found = {"ok": True, "faults": [], "warnings": snapshot.warnings, "config": snapshot.digest}
        print(orjson.dumps(found).decode())
        return
    for warning in snapshot.warnings:
        print(f"warning: {warning}")
    name = loader.config or "built-in settings"
    print(f"{name}: no faults; {len(snapshot.routes)} models, digest {snapshot.digest[:12]}")


@app.command()
def reload(config: Config = None, format: Format = "table") -> None:
    """Make the running gateway read its files again."""
    import httpx

    loader = _loader(config)
    settings = loader.load().settings.server
    scheme = "https" if settings.admin_tls else "http"
    key = _admin_key(loader.data_dir)
    url = f"{scheme}://{_reachable((settings.admin_host, settings.admin_port))}/admin/v1/reload"
    try:
        reply = httpx.post(url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    except httpx.TransportError as error:
        print(f"no gateway answers at {url}: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    report = reply.json()
    if format == "json":
        print(reply.text)
    elif "outcome" not in report:
        print(report["error"]["message"], file=sys.stderr)
    else:
        print(f"{report['outcome']}: configuration {report['config'][:12]}")
        for fault in report["faults"]:
            print(Fault(**fault), file=sys.stderr)
    raise typer.Exit(0 if reply.status_code == 200 else 1)


def _admin_key(data_dir: Path) -> str:
    from gateway.store.private import read_private

    text = read_private(data_dir / "admin.key")
    if text is None:
        raise ConfigError([Fault(str(data_dir / "admin.key"), None, "there is no admin key; has a gateway run here?")])
    return text.decode("ascii", "replace").strip()


@app.command()
def plugins(format: Format = "table") -> None:
    """List what was found in the plugin folders and entry points."""
    from gateway.reports.listing import plugins as report_kinds
    from gateway.upstreams import kinds

    found = [{"kind": "provider", "name": one.name, "module": one.module} for one in kinds().values()]
    found += [{"kind": "report", "name": one.name, "module": one.module} for one in report_kinds().values()]
    if format == "json":
        print(orjson.dumps(found).decode())
        return
    for one in found:
        print(f"{one['kind']:10} {one['name']:12} {one['module']}")


@app.command()
def provider(
    port: Annotated[int, typer.Option(metavar="N", help="The port; 0 lets the system choose.")] = 9000,
    script: Annotated[Path | None, typer.Option(metavar="F", help="The script; the built-in one if not given.")] = None,
    host: Annotated[str, typer.Option(metavar="H", help="The address.")] = "127.0.0.1",
    bill: Annotated[Path | None, typer.Option(metavar="F", help="Where to write what it would charge for.")] = None,
) -> None:
    """Run the scripted provider on its own, for demonstrations, tests and load."""
    from gateway import standalone

    try:
        standalone.run(host, port, script, bill)
    except OSError as error:
        print(f"{error.filename or f'{host}:{port}'}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None


def _open_store(config: Path | None) -> KeyStore:
    from gateway.runtime import open_keystore

    loader = _loader(config)
    return open_keystore(loader.load().settings, loader.data_dir)


def _ledger(config: Path | None) -> Path:
    return _loader(config).load().settings.storage.ledger_path


def _read_budgets(config: Path | None) -> tuple[Sequence[BudgetState], float]:
    from gateway.runtime import budgets_url
    from gateway.store.leases import list_budgets

    return list_budgets(budgets_url(_loader(config).load().settings)), time.time()


app.add_typer(cli_keys.build(_open_store), name="keys")


def _read_webhooks(config: Path | None) -> tuple[Sequence[Endpoint], str]:
    from gateway.config.webhooks import endpoints
    from gateway.runtime import keys_url

    settings = _loader(config).load().settings
    return endpoints(settings.webhooks), keys_url(settings).replace("keys.db", "webhooks.db")


def _prices(config: Path | None) -> PriceTable:
    return _loader(config).load().prices


app.add_typer(cli_budgets.build(_read_budgets), name="budgets")
app.add_typer(cli_ledger.build(_ledger), name="ledger")
app.add_typer(cli_import.build(), name="import")
app.add_typer(cli_reports.build(_ledger, _prices), name="report")
_reconcile = cli_reconcile.build(_ledger, prices=_prices)
app.command("reconcile")(_reconcile.reconcile)
app.command("close-month")(_reconcile.close_month)
app.add_typer(cli_webhooks.build(_read_webhooks), name="webhooks")
