"""Where log lines go: a bounded buffer in memory, and a thread that writes it to a descriptor ten times a second.

A full disk or a pipe that nobody reads must never hold up a call, so writing happens in calls that release the
interpreter, and beyond the bound lines are dropped and counted. The thread sleeps while there is nothing to write.

Several workers share one pipe, and a pipe keeps only short writes whole. They take turns by a lock on a file that
they share, so that no line is torn by another worker's.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from gateway.telemetry.stamp import Stamp

LIMIT_BYTES = 8 * 1024 * 1024
FLUSH_S = 0.1
_FULL_PIPE_POLL_MS = 100


def _ignore(lines: int) -> None:
    """Drops are counted in `Sink.dropped` anyway."""


class Sink:
    """Lines on their way to `descriptor`, which stays the caller's to close.

    `limit_bytes` bounds what waits, the batch that is being written included; `lock` is the file by which processes
    that share a pipe take turns. `on_drop` is told how many lines were lost, in the thread that lost them: the one that
    wrote the line (over the limit) or the sink's own (the descriptor failed).
    """

    def __init__(
        self,
        descriptor: int,
        *,
        lock: Path | None = None,
        limit_bytes: int = LIMIT_BYTES,
        flush_s: float = FLUSH_S,
        on_drop: Callable[[int], None] = _ignore,
    ) -> None:
        self.on_drop = on_drop
        self.dropped = 0
        self._descriptor = descriptor
        # writes to a regular file are whole by themselves
        shared = lock is not None and not stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._turn = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600) if lock is not None and shared else -1
        self._limit = limit_bytes
        self._flush_s = flush_s
        self._lines: list[bytes] = []
        self._bytes = 0  # of `_lines` and of the batch that is being written
        self._unsaid = 0  # dropped lines that no line has told of yet
        self._torn = False  # the last write ended within a line, which the next one has to end
        self._stamp = Stamp()
        self._guard = threading.Lock()
        self._filled = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-sink", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __repr__(self) -> str:
        return f"<Sink of descriptor {self._descriptor}, {self._bytes} bytes waiting, {self.dropped} lines dropped>"

    def write(self, line: bytes) -> None:
        """Take one line, its newline included. Never waits, never raises."""
        with self._guard:
            fits = self._bytes + len(line) <= self._limit
            if fits:
                if not self._lines:
                    self._filled.set()
                self._lines.append(line)
                self._bytes += len(line)
        if not fits:
            self._drop(1)

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits. Gives up after `timeout_s`: a process must end though nobody reads its log."""
        atexit.unregister(self.close)
        self._closing.set()
        self._filled.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._filled.wait()
            self._closing.wait(self._flush_s)  # let a batch gather, unless there is no time left
            self._filled.clear()
            self._flush()
        self._flush()
        if self._turn >= 0:
            os.close(self._turn)

    def _flush(self) -> None:
        with self._guard:
            lines, self._lines = self._lines, []
        batch = b"".join(lines)
        if batch:
            lost = self._write_in_turn(batch)
            with self._guard:
                self._bytes -= len(batch)
            if lost:
                self._drop(lost)
        told = self._unsaid
        # the note waits for a better time like any line, but is not itself counted as lost
        if told and not self._write_in_turn(self._note(told)):
            with self._guard:
                self._unsaid -= told

    def _note(self, lines: int) -> bytes:
        event = {"ts": self._stamp(time.time()), "level": "warning", "event": "log_lines_dropped", "lines": lines}
        return orjson.dumps(event) + b"\n"

    def _drop(self, lines: int) -> None:
        with self._guard:
            self.dropped += lines
            self._unsaid += lines
        try:
            self.on_drop(lines)
        except Exception:  # whoever counts must not take the log down
            return

    def _write_in_turn(self, batch: bytes) -> int:
        """Write whole lines; how many were lost, the one that was cut included."""
        data = b"\n" + batch if self._torn else batch
        try:
            with _turn(self._turn):
                written = _write(self._descriptor, data)
        except OSError:  # no turn to be had: the lock's file system is gone
            written = 0
        if written:
            self._torn = data[written - 1 : written] != b"\n"
        return data.count(b"\n", max(written, len(data) - len(batch)))


@contextmanager
def _turn(lock: int) -> Iterator[None]:
    if lock < 0:
        yield
        return
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def _write(descriptor: int, batch: bytes) -> int:
    """Write all of it, or as much as goes before the descriptor fails; how many bytes went."""
    left = memoryview(batch)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # whoever shares the pipe made it non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll(_FULL_PIPE_POLL_MS)
        except OSError:
            break
    return len(batch) - len(left)
