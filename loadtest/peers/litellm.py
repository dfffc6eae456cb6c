"""LiteLLM's proxy with a master key and one worker, in a virtual environment of its own beside the project's.

Its pins would hold back the gateway's libraries, so the two never share one. The first run downloads it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console

from loadtest import traffic
from loadtest.machine import BenchError
from loadtest.peers.base import Peer, Running, Stage
from loadtest.processes import free_port, start, wait_until_ready

_VENV = Path(__file__).resolve().parent.parent.parent / ".venv-litellm"
_PROGRAM = _VENV / "bin" / "litellm"
_MASTER_KEY = "sk-bench-master"
_CONFIG = """\
model_list:
  - model_name: {model}
    litellm_params: {{model: openai/{model}, api_base: "{upstream}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false}}
"""


def _start(stage: Stage) -> Running:
    if not _PROGRAM.exists():
        _install()
    port = free_port()
    config = stage.scratch / "litellm.yaml"
    config.write_text(_CONFIG.format(model=traffic.MODEL, upstream=stage.upstream, key=_MASTER_KEY))
    command = [str(_PROGRAM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    child = start("litellm", command, stage.cores.proxy, stage.scratch, env)
    wait_until_ready(child, f"http://127.0.0.1:{port}/health/liveliness", patience_s=120)
    return Running("litellm", port, child, keys=(_MASTER_KEY,))


def _install() -> None:
    Console(stderr=True).print(f"installing litellm[proxy] into {_VENV.name} (once; some minutes) ...", markup=False)
    for command in (
        [sys.executable, "-m", "venv", str(_VENV)],
        [str(_VENV / "bin" / "pip"), "install", "--quiet", "litellm[proxy]"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"{' '.join(command)} failed:\n{done.stderr[-1500:]}")


# At the others' 5,000 chunks a second it would be saturated, and late chunks travel together.
LITELLM = Peer("litellm", _start, streams=10)
