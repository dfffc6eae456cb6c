"""`gateway import litellm FILE`: another gateway's configuration as ours, and a list of what it could not carry over.

The configuration goes to the standard output or into a file, the list to standard error. Exit status: 0 done, 1 the
file could not be read or, with `--strict`, something was left out; 2 wrong usage.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
import typer

from gateway.errors import ConfigError, Fault, GatewayError

if TYPE_CHECKING:  # the settings' library takes a third of a second to import, which `--help` need not
    from gateway.config.litellm import Converted

Source = Annotated[Path, typer.Argument(metavar="FILE", help="LiteLLM's config.yaml.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="F", help="Write here, not to the standard output.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if anything was left out.")]
Shape = Annotated[Literal["yaml", "json"], typer.Option("--format", help="json: the configuration and the list.")]


def build() -> typer.Typer:
    """The verbs of `gateway import`."""
    app = typer.Typer(name="import", help="Take over another gateway's configuration.", no_args_is_help=True)

    @app.callback()
    def group() -> None:
        """Take over another gateway's configuration."""

    @app.command()
    def litellm(
        source: Source, out: Out = None, force: Force = False, strict: Strict = False, shape: Shape = "yaml"
    ) -> None:
        """Convert a LiteLLM proxy's config.yaml."""
        if out is not None and out.exists() and not force:
            raise typer.BadParameter(f"{out} is there already; --force writes over it.", param_hint="--out")
        try:
            found = _convert(source)
            _write(found, shape, out)
        except ConfigError as error:
            _print(error.faults)
            raise typer.Exit(1) from error
        except GatewayError as error:
            print(error.message, file=sys.stderr)
            raise typer.Exit(1) from error
        if shape == "yaml":
            _print(found.left)
        if strict and found.left:
            raise typer.Exit(1)

    return app


def _convert(source: Path) -> Converted:
    from gateway.config.litellm import convert
    from gateway.config.yamlfile import MAX_BYTES

    try:
        with source.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Fault(str(source), None, f"cannot be read: {error.strerror}")]) from error
    if len(raw) > MAX_BYTES:
        raise ConfigError([Fault(str(source), None, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")])
    try:
        return convert(raw.decode("utf-8-sig"), str(source))
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(str(source), None, "is not UTF-8 text")]) from error


def _write(found: Converted, shape: str, out: Path | None) -> None:
    text = found.text.encode()
    if shape == "json":
        left = [{"file": one.file, "line": one.line, "message": one.message} for one in found.left]
        text = orjson.dumps({"config": found.text, "left": left}, option=orjson.OPT_APPEND_NEWLINE)
    if out is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    try:
        out.write_bytes(text)
    except OSError as error:
        raise GatewayError(f"{out}: {error.strerror}") from error


def _print(faults: list[Fault]) -> None:
    for fault in faults:
        print(fault, file=sys.stderr)
