"""Who is measured: one file each, each with a way to start it in front of the mock upstream."""

from loadtest.peers.base import Peer
from loadtest.peers.direct import DIRECT
from loadtest.peers.gateway import GATEWAY
from loadtest.peers.litellm import LITELLM
from loadtest.peers.naive import NAIVE
from loadtest.peers.nginx import NGINX

ALWAYS: tuple[Peer, ...] = (DIRECT, NGINX, GATEWAY, NAIVE)
ON_REQUEST: dict[str, Peer] = {LITELLM.name: LITELLM}

__all__ = ["ALWAYS", "ON_REQUEST", "Peer"]
