"""What the clients talk to: one gateway with a scripted model and, where torch is installed, a real model server."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processes import HOST, Server, free_port, serving

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VENVS = ROOT / ".venv-clients"
SERVER_BIN = VENVS / "server" / "bin"

# What a server may see of this process's environment: nothing that names a provider, a gateway or a proxy.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Stack:
    """A running gateway: where it is, a key for it, and the models that it serves."""

    base_url: str
    key: str
    models: tuple[str, ...]
    gateway: Server


@contextlib.contextmanager
def stack(with_real_server: bool) -> Iterator[Stack]:
    """Start everything in a fresh folder, and stop and remove everything at the end."""
    with contextlib.ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="gateway-clients-")))
        real_url = opened.enter_context(real_server(folder)) if with_real_server else None
        yield opened.enter_context(gateway(folder, real_url))


@contextlib.contextmanager
def real_server(folder: Path) -> Iterator[str]:
    """`transformers serve` with the tiny model; yields its base URL."""
    home = folder / "hub"
    (home / "hub").mkdir(parents=True)
    (folder / "tiny").symlink_to(tiny_model(), target_is_directory=True)
    port = free_port()
    env = {**_environment(), "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [str(SERVER_BIN / "transformers"), "serve", "tiny", "--host", HOST, "--port", str(port)]
    command += ["--device", "cpu", "--log-level", "error"]
    with serving("transformers", command, env, f"http://{HOST}:{port}/health", folder, timeout_s=120):
        yield f"http://{HOST}:{port}/v1"


def tiny_model() -> Path:
    """The folder of the tiny model, made now if its recipe or its libraries have changed."""
    recipe = (HERE / "tiny_model.py").read_bytes() + (HERE / "locks" / "server.lock").read_bytes()
    made = VENVS / f"tiny-{hashlib.sha256(recipe).hexdigest()[:12]}"
    if not made.is_dir():
        with tempfile.TemporaryDirectory(dir=VENVS) as draft:
            command = [str(SERVER_BIN / "python"), str(HERE / "tiny_model.py"), f"{draft}/model"]
            subprocess.run(command, check=True, env={**_environment(), "HF_HUB_OFFLINE": "1"})
            Path(draft, "model").rename(made)
    return made


@contextlib.contextmanager
def gateway(folder: Path, real_url: str | None) -> Iterator[Stack]:
    """The gateway of this tree, with a key of its own; `real_url` is the second model's provider."""
    port, admin_port = free_port(), free_port()
    settings = _settings(port, admin_port, real_url)
    config = folder / "gateway.yaml"
    config.write_text(json.dumps(settings, indent=2))  # JSON is YAML
    command = [str(ROOT / ".venv" / "bin" / "python"), "-m", "gateway"]
    env = {**_environment(), "GATEWAY_DATA": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    ready = f"http://{HOST}:{admin_port}/readyz"
    with serving("gateway", [*command, "serve", "--config", str(config)], env, ready, folder, timeout_s=60) as server:
        create = [*command, "keys", "create", "--team", "clients", "--config", str(config), "--format", "json"]
        made = subprocess.run(create, env=env, cwd=folder, check=True, capture_output=True, text=True)
        yield Stack(f"http://{HOST}:{port}/v1", json.loads(made.stdout)["key"], tuple(settings["models"]), server)


def _settings(port: int, admin_port: int, real_url: str | None) -> dict[str, dict[str, object]]:
    settings: dict[str, dict[str, object]] = {
        "server": {"host": HOST, "port": port, "admin_port": admin_port},
        "providers": {"scripted": {"kind": "scripted"}},
        "models": {"demo": {"deployments": [{"provider": "scripted", "model": "demo"}]}},
        "passthrough": {"default": "scripted"},  # files and batches
    }
    if real_url:
        settings["providers"]["transformers"] = {
            "kind": "openai",
            "base_url": real_url,
            "api_key": "none",
            "allow_private": True,
        }
        settings["models"]["tiny"] = {"deployments": [{"provider": "transformers", "model": "tiny"}]}
    return settings


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in KEPT if name in os.environ}
