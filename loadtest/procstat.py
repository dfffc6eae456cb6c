"""CPU time and memory of a process with all its children, read from /proc.

The scheduler's own account (`schedstat`, nanoseconds) is preferred over `stat`, whose ticks of 10 ms are as long as
nginx needs for a thousand chunks. `schedstat` forgets threads that have ended and `stat` does not; neither ever says
too much, so the larger of the two is nearer to the truth.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Positions after the command's name, which may itself hold blanks and brackets (proc_pid_stat(5), less three).
_PPID, _UTIME, _STIME, _CUTIME, _CSTIME = 1, 11, 12, 13, 14


def cpu_s(pid: int) -> float:
    """Seconds of user and system time that `pid`, its living descendants and their reaped children have used."""
    return sum(_process_cpu_s(member) for member in tree(pid))


def rss_bytes(pid: int) -> int:
    """Resident bytes of `pid` and its descendants; pages shared between them count for each."""
    return sum(_process_rss_bytes(member) for member in tree(pid))


def tree(pid: int) -> list[int]:
    """`pid` and all its living descendants; empty once it is gone."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[_PPID]), []).append(int(entry.name))
    found = [pid] if (_PROC / str(pid)).exists() else []
    for member in found:  # grows while it is walked: breadth first
        found.extend(children.get(member, []))
    return found


def _process_cpu_s(pid: int) -> float:
    fields = _stat(pid)
    if not fields:
        return 0.0
    own = (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_S
    reaped = (int(fields[_CUTIME]) + int(fields[_CSTIME])) / _TICKS_PER_S
    return max(own, _scheduled_s(pid)) + reaped


def _scheduled_s(pid: int) -> float:
    total_ns = 0
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            total_ns += int(_read(task / "schedstat").partition(" ")[0] or 0)
    except FileNotFoundError:  # the process ended between two reads
        pass
    return total_ns / 1e9


def _process_rss_bytes(pid: int) -> int:
    fields = _read(_PROC / str(pid) / "statm").split()
    return int(fields[1]) * _PAGE_BYTES if fields else 0


def _stat(pid: int) -> list[str]:
    return _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
