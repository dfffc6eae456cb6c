"""Thousands of requests that nobody should send: no failure of ours, nothing left behind, nobody else slower."""

from __future__ import annotations

import random
import resource
import statistics
import time
from pathlib import Path

import pytest

from loadtest import malformed
from tests.gateway_process import Gateway, eventually, running

MIB = 1024 * 1024


def resident(gateway: Gateway) -> int:
    return int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def p50_s(gateway: Gateway) -> float:
    """Seconds that half of the good calls stay under. The best of several rounds, since the machine has other work."""
    client = gateway.client()
    body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
    rounds = []
    for _ in range(8):
        times = []
        for _ in range(100):
            began = time.perf_counter()
            assert client.post("/v1/chat/completions", json=body).status_code == 200
            times.append(time.perf_counter() - began)
        rounds.append(statistics.median(times))
    return min(rounds)


def load_the_tokenizer(gateway: Gateway) -> None:
    """Estimate the tokens of a call that is given up: the first such call loads 70 MiB, once."""
    body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "slowly"}]}
    with gateway.client().stream("POST", "/v1/chat/completions", json=body) as reply:
        next(reply.iter_raw())
    eventually(lambda: gateway.logged("request", code="client_closed_request", usage_source="estimated"))


def proof(folder: Path, count: int) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    with running(folder) as gateway:
        _, bad = malformed.run(gateway.port, gateway.key, seed + 1, 1000)  # the warm-up, of the same kind
        assert bad == []
        load_the_tokenizer(gateway)
        before_s, memory = p50_s(gateway), resident(gateway)
        descriptors = gateway.metric("gateway_process_open_fds")
        seen, bad = malformed.run(gateway.port, gateway.key, seed, count)
        print(dict(seen))
        assert bad == []
        assert sum(times for status, times in seen.items() if 400 <= status < 500) > count / 2
        eventually(lambda: gateway.metric("gateway_in_flight_requests") == 0, 5)
        eventually(lambda: gateway.metric("gateway_process_open_fds") <= descriptors, 15)
        assert len(list(Path(f"/proc/{gateway.process.pid}/task").iterdir())) < 30
        grown, after_s = resident(gateway) - memory, p50_s(gateway)
        for _ in range(4):  # the machine may have had other work
            if after_s > 1.1 * before_s:
                after_s = min(after_s, p50_s(gateway))
        print(f"memory +{grown / MIB:.2f} MiB, p50 {before_s * 1e3:.3f} -> {after_s * 1e3:.3f} ms")
        assert grown <= 8 * MIB
        assert after_s <= 1.1 * before_s
        assert not gateway.logged("unexpected")
        assert "Traceback" not in gateway.err.text


def test_a_thousand_malformed_requests_fail_nothing_and_leave_nothing(tmp_path: Path) -> None:
    proof(tmp_path, 1000)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_thousand_malformed_requests_fail_nothing_and_leave_nothing(tmp_path: Path) -> None:
    proof(tmp_path, 10_000)


def test_the_same_seed_gives_the_same_requests() -> None:
    first, second = (list(malformed.Corpus(7, "gw-x-y").requests(200)) for _ in range(2))
    assert first == second
    assert len({kind for kind, _ in first}) == 10
