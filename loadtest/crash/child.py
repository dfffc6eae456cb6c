"""One real `gateway serve` that kills itself where it is told: loaded once, forked for every life.

Nothing of the gateway is replaced: its command line is called as the shell would, after the hooks of `points.py` have
been put in. What it is told comes over one pipe, whose other end also shows when it is dead.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# Loaded before the fork: all that the command line imports when it is needed.
import gateway.server  # noqa: F401
from gateway import cli
from gateway.pricing.tokens import encoding_for
from loadtest.crash import points, sabotage
from loadtest.crash.lives import Fate

READY, STRUCK = b"ready", b"struck"

encoding_for("any")  # a quarter of a second, once


def child(folder: str, config: str, fate: Fate, pipe: Connection) -> None:
    """Serve in `folder`, until killed or told to end."""
    os.chdir(folder)
    _log_to(Path(folder) / "gateway.log")
    os.environ.update(GATEWAY_DATA=str(Path(folder) / "data"), GATEWAY_CONFIG=config)
    if fate.sabotage:
        sabotage.break_promise(fate.sabotage)
    if fate.point:
        points.install(_reaching(fate, pipe))
    _tell_when_ready(pipe)
    sys.argv = ["gateway", "serve"]
    cli.main()


def _reaching(fate: Fate, pipe: Connection) -> Callable[[str], None]:
    left = fate.count

    def reach(point: str) -> None:
        nonlocal left
        if point == fate.point:
            left -= 1
            if left <= 0:
                pipe.send_bytes(STRUCK)
                os.kill(os.getpid(), signal.SIGKILL)

    return reach


def _tell_when_ready(pipe: Connection) -> None:
    announce = cli._announce

    def announced(*arguments: Any) -> None:
        announce(*arguments)
        pipe.send_bytes(READY)

    setattr(cli, "_announce", announced)  # noqa: B010 - of another type: it takes anything


def _log_to(file: Path) -> None:
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
