"""Where log lines go: never in anybody's way, and whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import orjson
import pytest

from gateway.telemetry.sink import Sink

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def _read(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _has_lines(path: Path, count: int) -> bool:
    return len(_read(path)) == count


def _until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_s
        time.sleep(0.002)


def test_lines_arrive_in_order_and_all_of_them_at_close(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        sink = Sink(file.fileno(), flush_s=0.01)
        for number in range(5_000):
            sink.write(b"%d\n" % number)
        sink.close()
    assert _read(path) == [b"%d\n" % number for number in range(5_000)]
    assert sink.dropped == 0


def test_a_line_arrives_without_a_close(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        sink = Sink(file.fileno(), flush_s=0.01)
        for number in range(3):
            sink.write(b"x\n")
            _until(partial(_has_lines, path, number + 1))
        sink.close()


def test_several_threads_may_write(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        sink = Sink(file.fileno(), flush_s=0.001)

        def write() -> None:
            for _ in range(3_000):
                sink.write(b"0123456789\n")

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sink.close()
    assert _read(path) == [b"0123456789\n"] * 12_000
    assert repr(sink).endswith(" 0 bytes waiting, 0 lines dropped>")


def test_a_pipe_that_nobody_reads_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    drops: list[int] = []
    reading, writing = pipe
    sink = Sink(writing, limit_bytes=200_000, flush_s=0.001, on_drop=drops.append)
    line = b"x" * 999 + b"\n"
    began = time.monotonic()
    for _ in range(1_000):
        sink.write(line)
    assert time.monotonic() - began < 1.0
    assert sink.dropped == sum(drops) >= 700

    lost, received = sink.dropped, b""

    def drain() -> None:
        nonlocal received
        while part := os.read(reading, 65_536):
            received += part

    reader = threading.Thread(target=drain)
    reader.start()
    sink.close()
    os.close(writing)
    reader.join()
    *lines, note = received.splitlines(keepends=True)
    assert lines == [line] * (1_000 - lost), "what was taken arrived, whole"
    told = orjson.loads(note)
    assert (told["event"], told["level"], told["lines"]) == ("log_lines_dropped", "warning", lost)


def test_closing_gives_up_on_a_pipe_that_nobody_reads(pipe: tuple[int, int]) -> None:
    sink = Sink(pipe[1], flush_s=0.001)
    sink.write(b"x" * 1_000_000 + b"\n")
    began = time.monotonic()
    sink.close(timeout_s=0.1)
    assert time.monotonic() - began < 1.0
    os.close(pipe[0])  # the write ends with a broken pipe, and so does the thread
    _until(lambda: not sink._thread.is_alive())


def test_a_non_blocking_pipe_is_waited_for(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    sink = Sink(writing, flush_s=0.001)
    line = b"y" * 99_999 + b"\n"
    for _ in range(10):
        sink.write(line)
    received = b""
    while len(received) < 1_000_000:
        received += os.read(reading, 65_536)
    assert received == line * 10
    sink.close()


def test_a_descriptor_that_fails_drops_and_counts_and_recovers(tmp_path: Path) -> None:
    drops: list[int] = []
    descriptor = os.open("/dev/full", os.O_WRONLY)
    sink = Sink(descriptor, flush_s=0.001, on_drop=drops.append)
    sink.write(b"lost\n")
    _until(lambda: sink.dropped >= 1)
    good = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(good, descriptor)
    sink.write(b"kept\n")
    sink.close()
    os.close(good)
    os.close(descriptor)
    kept, note = _read(tmp_path / "log")
    assert kept == b"kept\n"
    assert orjson.loads(note)["lines"] == 1
    assert drops == [1]


def test_a_line_that_was_cut_is_ended_before_the_next(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """A reader that leaves in the middle of a line and a new one in its place, as when a log shipper restarts."""
    reading, writing = pipe
    sink = Sink(writing, flush_s=0.001)
    sink.write(b"z" * 300_000 + b"\n")
    assert os.read(reading, 100_000)
    os.close(reading)
    _until(lambda: sink.dropped == 1)
    with (tmp_path / "log").open("wb") as file:
        os.dup2(file.fileno(), writing)
        sink.write(b"kept\n")
        sink.close()
    end, kept, note = _read(tmp_path / "log")
    assert (end, kept) == (b"\n", b"kept\n")
    assert orjson.loads(note)["lines"] == 1


def test_a_counter_that_fails_does_not_stop_the_log(tmp_path: Path) -> None:
    def fail(lines: int) -> None:
        raise RuntimeError("the loop is closed")

    with (tmp_path / "log").open("wb") as file:
        sink = Sink(file.fileno(), limit_bytes=10, flush_s=0.001, on_drop=fail)
        sink.write(b"too long a line\n")
        sink.write(b"kept\n")
        sink.close()
    assert _read(tmp_path / "log")[0] == b"kept\n"
    assert sink.dropped == 1


WRITER = """
import sys
from pathlib import Path
from gateway.telemetry.sink import Sink

sink = Sink(1, lock=Path(sys.argv[1]), flush_s=0.001)
for number in range(300):
    sink.write(sys.argv[2].encode() * 3_000 + b"\\n")
    if number % 10 == 0:
        __import__("time").sleep(0.001)
"""


def test_workers_that_share_a_pipe_do_not_tear_each_others_lines(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """A batch is longer than what a pipe keeps whole by itself, so without turns they would interleave."""
    reading, writing = pipe
    lock = str(tmp_path / "log.lock")
    workers = [
        subprocess.Popen([sys.executable, "-c", WRITER, lock, letter], stdout=writing, cwd=ROOT) for letter in "ab"
    ]
    os.close(writing)
    time.sleep(0.3)  # both fill the pipe, so that both wait in the middle of a batch
    received = b""
    while part := os.read(reading, 65_536):
        received += part
    assert [worker.wait() for worker in workers] == [0, 0]
    lines = received.splitlines()
    assert sorted(set(lines)) == [b"a" * 3_000, b"b" * 3_000]
    assert len(lines) == 600, "what was written at exit arrived too"


def test_taking_a_line_costs_a_fraction_of_a_microsecond() -> None:
    """Measured 0.25 us; the bound leaves room for a slow and busy machine."""
    descriptor = os.open("/dev/null", os.O_WRONLY)
    sink = Sink(descriptor)
    line = b"x" * 400 + b"\n"
    began = time.perf_counter()
    for _ in range(15_000):
        sink.write(line)
    took = time.perf_counter() - began
    sink.close()
    os.close(descriptor)
    assert sink.dropped == 0
    assert took / 15_000 < 4e-6
