"""What a result depends on beside the code: the machine, its disk, the versions, the commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from loadtest.stats import percentile

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_SYNCED_BYTES = 4096
_ROOT = Path(__file__).resolve().parent.parent


class BenchError(Exception):
    """The benchmark cannot go on; the message says what to do about it."""


def find(program: str) -> str | None:
    """The path of a program, looked for where Debian keeps servers too: that is on root's PATH only."""
    return shutil.which(program) or shutil.which(program, path=_SBIN)


def require_programs(packages: dict[str, str]) -> None:
    """Raise `BenchError` naming the Debian packages to install, for the programs of `packages` that are missing."""
    missing = sorted(package for program, package in packages.items() if find(program) is None)
    if missing:
        raise BenchError(f"missing Debian package(s): {', '.join(missing)}. Try: apt-get install {' '.join(missing)}")


def describe() -> dict[str, object]:
    """CPU, cores, kernel and versions of what takes part."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nginx": _first_line("nginx", "-v").removeprefix("nginx version: "),
        "wrk": " ".join(_first_line("wrk", "-v").split()[:2]),
    }


def commit() -> str:
    """The short hash of what is checked out, with `-dirty` where files differ from it; `nogit` outside of git."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        # Results of earlier runs do not change what is measured.
        changed = _git("status", "--porcelain", "--", ".", ":(exclude)loadtest/results")
    except (OSError, subprocess.CalledProcessError):
        return "nogit"
    return f"{head}-dirty" if changed else head


def now() -> datetime:
    """The time of a result, UTC."""
    return datetime.now(UTC)


def fsync_p99_ms(folder: Path, times: int) -> float:
    """The 99th percentile of appending 4 KiB to a file in `folder` and waiting for the disk, in milliseconds."""
    path = folder / "fsync.probe"
    block = b"\0" * _SYNCED_BYTES
    took_ms: list[float] = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(times):
            began = time.perf_counter()
            os.write(descriptor, block)
            os.fsync(descriptor)
            took_ms.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return percentile(took_ms, 99)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _first_line(program: str, *arguments: str) -> str:
    done = subprocess.run([find(program) or program, *arguments], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).partition("\n")[0].strip()
