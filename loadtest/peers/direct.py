"""No proxy: the mock upstream itself, so that what the others add can be told from what was there before."""

from __future__ import annotations

from loadtest.peers.base import Peer, Running, Stage


def _start(stage: Stage) -> Running:
    return Running("direct", stage.upstream_port, child=None)


DIRECT = Peer("direct", _start, proxies=False)
