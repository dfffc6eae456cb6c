"""What a peer is: a name, and a way to start it on a stage that all share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtest import traffic
from loadtest.processes import Child, Cores


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a peer plays: the mock's port, a folder to write in, and the cores."""

    upstream_port: int
    scratch: Path
    cores: Cores

    @property
    def upstream(self) -> str:
        """The mock's address, without a path."""
        return f"http://127.0.0.1:{self.upstream_port}"


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that takes requests on `port`. `child` is None where there is no proxy at all."""

    name: str
    port: int
    child: Child | None
    keys: tuple[str, ...] = ("none",)
    models: tuple[str, ...] = (traffic.MODEL,)

    def request(self, body: bytes) -> bytes:
        """A whole request with this peer's first key."""
        return traffic.request(self.port, self.keys[0], body)

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()


@dataclass(frozen=True, slots=True)
class Peer:
    """One that can be measured. `streams` is how many at once it can carry without chunks piling up into one read.

    `proxies` is off for the run without a proxy, which has no process to look at.
    """

    name: str
    start: Callable[[Stage], Running]
    streams: int = 100
    proxies: bool = True
