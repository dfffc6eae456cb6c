"""The scripted provider: YAML scripts that stand for LLM vendors, in demos, tests and load, in OpenAI's wire format.

Nothing in this package does IO but reading a script. It decides what is to happen on the wire; `upstream/scripted.py`
acts that in process and `standalone.py` on a socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.providers.scripting import bill
from gateway.providers.scripting.load import builtin, load, loads
from gateway.providers.scripting.play import Account, Play, Send
from gateway.providers.scripting.player import Player
from gateway.providers.scripting.request import Ask
from gateway.providers.scripting.script import Script

__all__ = ["Account", "Ask", "Play", "Player", "Script", "Send", "bill", "builtin", "load", "loads", "play"]


def play(script: Script, path: str, body: Mapping[str, Any], *, seed: int = 0) -> Play:
    """What a fresh provider answers to `body` at `path` (with or without `/v1`), at Unix time 0."""
    return Player(script, seed=seed, clock=lambda: 0.0).play(Ask("POST", path, orjson.dumps(body)))
