"""As many requests as a server can take: wrk, with a fixed number of connections that each wait for their answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.machine import BenchError

_SCRIPT = Path(__file__).with_name("closed.lua")
_MARK = "RESULT "


@dataclass(frozen=True, slots=True)
class ClosedLoopResult:
    """What wrk saw: `failed` counts replies that were errors, and requests without any."""

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    failed: int


def closed_loop(
    port: int, requests: Sequence[bytes], *, duration_s: int, connections: int, scratch: Path
) -> ClosedLoopResult:
    """Send `requests` in turn to 127.0.0.1:`port` for `duration_s` whole seconds. `scratch` is a folder to write in.

    Raises `BenchError` where wrk fails.
    """
    messages = scratch / "requests.bin"
    messages.write_bytes(b"\0".join(requests))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{duration_s}s", "--timeout", "10s", "-s", str(_SCRIPT)]
    target = [f"http://127.0.0.1:{port}", "--", str(messages)]
    done = subprocess.run([*command, *target], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            return _parse(json.loads(line.removeprefix(_MARK)))
    raise BenchError(f"wrk printed no result (exit status {done.returncode}): {(done.stderr or done.stdout)[-400:]}")


def _parse(result: dict[str, int]) -> ClosedLoopResult:
    return ClosedLoopResult(
        requests=result["requests"],
        duration_s=result["duration_us"] / 1e6,
        p50_ms=result["p50_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
        failed=result["failed_status"] + result["failed_io"],
    )
