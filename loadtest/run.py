"""One run: everybody is started once, measured in turns, and stopped.

Rounds are interleaved (A B C, A B C, ...), so that a slow minute of the machine touches all alike. Idle peers stay up
meanwhile; they cost nothing that could be measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from loadtest import measures, preflight, traffic
from loadtest.peers.base import Peer, Running, Stage
from loadtest.processes import Cores, free_port, start, wait_until_ready
from loadtest.settings import Settings

Step = Callable[[str], None]


def start_mock(cores: Cores, scratch: Path, stack: ExitStack) -> Stage:
    """Start the mock upstream, to be stopped with `stack`; the stage for all peers."""
    port = free_port()
    command = [sys.executable, "-m", "loadtest.mock_upstream", "--port", str(port)]
    child = start("mock-upstream", command, cores.drivers, scratch, {})
    stack.callback(child.stop)
    wait_until_ready(child, f"http://127.0.0.1:{port}/", patience_s=10)
    return Stage(port, scratch, cores)


def measure_peers(
    peers: Sequence[Peer], stage: Stage, settings: Settings, step: Step
) -> dict[str, list[dict[str, Any]]]:
    """All rounds of all peers, as JSON by name. Raises `BenchError` where one does not start or answers wrongly."""
    rounds: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in peers}
    memories = {peer.name: _memory(peer, stage, settings, step) for peer in peers}
    with ExitStack() as stack:
        cast = [(peer, _started(peer, stage, stack, step)) for peer in peers]
        for number in range(settings.rounds):
            for peer, running in cast:
                measured = _round(peer, running, number, stage, settings, step)
                rounds[peer.name].append({**measured, "memory": memories[peer.name] if number == 0 else None})
    return rounds


def step_count(peers: Sequence[Peer], settings: Settings) -> int:
    """How often `measure_peers` will call its `step`."""
    proxies = sum(peer.proxies for peer in peers)
    a_round = len(peers) * (1 + len(settings.rates)) + proxies
    return len(peers) + 2 * len(measures.STREAM_KINDS) * proxies + settings.rounds * a_round


def _started(peer: Peer, stage: Stage, stack: ExitStack, step: Step) -> Running:
    step(f"starting {peer.name}")
    running = peer.start(stage)
    stack.callback(running.stop)
    uvloop.run(preflight.check(running))
    return running


def _memory(peer: Peer, stage: Stage, settings: Settings, step: Step) -> dict[str, Any] | None:
    """By kind of stream. Of processes of their own, so that the rounds and the memory know nothing of each other."""
    found: dict[str, Any] = {}
    for kind in measures.STREAM_KINDS if peer.proxies else ():
        with ExitStack() as stack:
            running = _started(peer, stage, stack, step)
            assert running.child is not None  # a proxy is a process
            step(f"memory: {running.name}, {kind} streams")
            found[kind] = asdict(measures.memory(running, running.child, kind, settings, stage.scratch))
    return found or None


def _round(peer: Peer, running: Running, number: int, stage: Stage, settings: Settings, step: Step) -> dict[str, Any]:
    where = f"round {number + 1} of {settings.rounds}, {peer.name}"
    step(f"{where}: saturation")
    requests = [running.request(traffic.unary_body())]
    saturation = measures.saturate(running, requests, settings.closed_s, settings.connections, stage.scratch)
    chunk = None
    if running.child is not None:
        step(f"{where}: streams")
        chunk = asdict(measures.cost_of_a_chunk(peer, running, settings))
    latency = {}
    for rate in settings.rates:
        step(f"{where}: {rate} requests a second")
        latency[str(rate)] = asdict(measures.latency(running, rate, number, settings))
    return {"saturation": asdict(saturation), "chunk": chunk, "latency": latency}
