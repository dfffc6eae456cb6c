"""Several workers seen as one, whatever happens to each of them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.telemetry.merge import Merged, merge
from gateway.telemetry.metrics import TABLE, Metrics

REQUEST = ("/v1/chat/completions", "demo", "scripted", "200")

# counts as told, line by line, and says when it is done
WORKER = """
import sys
from pathlib import Path
from gateway.telemetry.metrics import Metrics

metrics = Metrics(Path(sys.argv[1]), int(sys.argv[2]), "1")
requests = metrics.requests.labels(endpoint="/v1/chat/completions", model="demo", provider="scripted", status="200")
duration = metrics.request_duration.labels(endpoint="/v1/chat/completions", model="demo")
print("ready", flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        requests.inc()
        duration.observe(0.015)
        metrics.in_flight.inc()
    metrics.keys.set(int(line))
    print("done", flush=True)
"""


class Worker:
    """Another process that counts."""

    def __init__(self, folder: Path, index: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._hear("ready")

    def count(self, number: int) -> None:
        self.begin(number)
        self._hear("done")

    def begin(self, number: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _hear(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], Worker]]:
    workers: list[Worker] = []

    def start(index: int) -> Worker:
        workers.append(Worker(tmp_path, index))
        return workers[-1]

    yield start
    for worker in workers:
        if worker.process.poll() is None:
            worker.kill()


def _requests(merged: Merged) -> float:
    return merged["gateway_requests_total"][REQUEST][0]


def test_two_processes_count_and_a_third_sees_their_sum(tmp_path: Path, start: Callable[[int], Worker]) -> None:
    first, second = start(0), start(1)
    first.count(1_000)
    second.count(234)
    merged = merge(tmp_path, TABLE)
    assert _requests(merged) == 1_234
    assert merged["gateway_in_flight_requests"][()] == [1_234.0]
    assert merged["gateway_keys"][()] == [1_000.0]
    assert merged["gateway_workers"][()] == [2.0]
    total, *counts = merged["gateway_request_duration_seconds"][REQUEST[:2]]
    assert total == pytest.approx(1_234 * 0.015)
    assert counts[:3] == [0.0, 1_234.0, 0.0] and sum(counts) == 1_234


def test_counters_never_go_down_when_a_worker_is_killed_and_replaced(
    tmp_path: Path, start: Callable[[int], Worker]
) -> None:
    first, second = start(0), start(1)
    first.count(100)
    second.count(10)
    first.begin(10**9)  # killed in the middle of counting
    seen = [_requests(merge(tmp_path, TABLE)) for _ in range(20)]
    first.kill()
    seen += [_requests(merge(tmp_path, TABLE))]
    third = start(0)
    seen += [_requests(merge(tmp_path, TABLE))]
    third.count(5)
    seen += [_requests(merge(tmp_path, TABLE))]
    assert seen == sorted(seen) and seen[0] >= 110
    assert seen[-1] == seen[-2] + 5
    assert not (tmp_path / "worker-0.1.slots").exists()


def test_the_gauges_of_a_killed_worker_count_no_more_and_its_cpu_time_does(
    tmp_path: Path, start: Callable[[int], Worker]
) -> None:
    first, second = start(0), start(1)
    first.count(100)
    second.count(10)
    before = merge(tmp_path, TABLE)
    first.kill()
    after = merge(tmp_path, TABLE)
    assert after["gateway_in_flight_requests"][()] == [10.0]
    assert after["gateway_workers"][()] == [1.0]
    assert after["gateway_keys"][()] == [10.0]
    assert after["gateway_process_cpu_seconds_total"] == before["gateway_process_cpu_seconds_total"]
    start(0)
    assert merge(tmp_path, TABLE)["gateway_in_flight_requests"][()] == [10.0]


def test_a_torn_names_file_costs_at_most_its_last_child(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, 0, "1")
    metrics.refusals.labels(code="a").inc()
    metrics.refusals.labels(code="b").inc()
    names = tmp_path / "worker-0.names"
    whole = names.read_bytes()
    for cut in range(1, 12):
        names.write_bytes(whole[:-cut])
        assert merge(tmp_path, TABLE)["gateway_refusals_total"] == {("a",): [1.0]}
    metrics.close()


@pytest.mark.parametrize("content", [b"", b"GWSLOTS1", b"x" * 4096], ids=["empty", "short", "foreign"])
def test_files_that_are_not_a_workers_are_left_out(tmp_path: Path, content: bytes) -> None:
    metrics = Metrics(tmp_path, 0, "1")
    (tmp_path / "worker-1.slots").write_bytes(content)
    (tmp_path / "worker-1.names").write_bytes(b'["gateway_keys",[],8]\n')
    (tmp_path / "worker-2.slots").write_bytes(b"no names beside it")
    assert merge(tmp_path, TABLE)["gateway_workers"] == {(): [1.0]}
    metrics.close()


def test_a_folder_without_workers_has_no_numbers(tmp_path: Path) -> None:
    assert merge(tmp_path, TABLE) == {spec.name: {} for spec in TABLE}
