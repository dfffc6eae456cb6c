"""The gateway as a user runs it: one worker, a key, prices, a ledger, metrics, and its log going to a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from loadtest import bulkkeys, traffic
from loadtest.machine import BenchError
from loadtest.peers.base import Peer, Running, Stage
from loadtest.processes import free_port, start, wait_until_ready

_ROOT = Path(__file__).resolve().parent.parent.parent
_START_PATIENCE_S = 60.0
PRICES = """\
- {provider: bench, model: "*", from: 2026-01-01, usd_per_million: {input: 0.25, cache_read: 0.025, output: 2.00}}
"""
"""Every call is held, booked and priced, as in service."""


def start_gateway(stage: Stage, name: str, *, keys: int = 1, models: int = 1) -> Running:
    """Start one with so many keys and models, in a folder of its own; the model that all peers serve is the last.

    Raises `BenchError` where it does not come up.
    """
    home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=stage.scratch))
    port, admin_port = free_port(), free_port()
    names = [*(f"model-{number}" for number in range(models - 1)), traffic.MODEL]
    config = home / "gateway.yaml"
    config.write_text(yaml.safe_dump(_config(stage, names, port, admin_port), sort_keys=False))
    (home / "prices.yaml").write_text(PRICES)
    env = {"GATEWAY_DATA": str(home / "data"), "GATEWAY_CONFIG": str(config)}
    texts = (_create_key(config, env), *bulkkeys.insert(config, home / "data", keys - 1))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
    child = start(name, command, stage.cores.proxy, stage.scratch, env)
    wait_until_ready(child, f"http://127.0.0.1:{admin_port}/readyz", patience_s=_START_PATIENCE_S)
    return Running(name, port, child, keys=texts, models=tuple(names))


def _config(stage: Stage, models: list[str], port: int, admin_port: int) -> dict[str, object]:
    provider = {"kind": "openai", "base_url": f"{stage.upstream}/v1", "api_key": "none", "allow_private": True}
    # All lead to the one model that the mock serves, which ignores the name.
    deployments = [{"provider": "bench", "model": traffic.MODEL}]
    return {
        "server": {"host": "127.0.0.1", "port": port, "admin_port": admin_port},
        "storage": {"ledger": "sqlite:///data/ledger.db", "shared": "memory://"},
        "providers": {"bench": provider},
        "models": {model: {"deployments": [dict(entry) for entry in deployments]} for model in models},
    }


def _create_key(config: Path, env: dict[str, str]) -> str:
    command = [sys.executable, "-m", "gateway", "keys", "create", "--config", str(config)]
    command += ["--team", "bench", "--format", "json"]
    done = subprocess.run(command, cwd=_ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    try:
        key: str = json.loads(done.stdout)["key"]
    except (ValueError, KeyError, TypeError) as error:
        said = (done.stderr or done.stdout)[-1500:]
        raise BenchError(f"`gateway keys create` gave no key (exit status {done.returncode}):\n{said}") from error
    return key


def _start(stage: Stage) -> Running:
    return start_gateway(stage, "gateway")


GATEWAY = Peer("gateway", _start)
