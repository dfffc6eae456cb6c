"""The 30-line Starlette and httpx proxy, served by uvicorn as it comes, save that it logs warnings only."""

from __future__ import annotations

import sys

from loadtest.peers.base import Peer, Running, Stage
from loadtest.processes import free_port, start, wait_until_ready


def _start(stage: Stage) -> Running:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "loadtest.naive_proxy:app", "--port", str(port)]
    command += ["--log-level", "warning"]
    child = start("naive", command, stage.cores.proxy, stage.scratch, {"UPSTREAM": stage.upstream})
    wait_until_ready(child, f"http://127.0.0.1:{port}/v1/models", patience_s=20)
    return Running("naive", port, child)


NAIVE = Peer("naive", _start)
