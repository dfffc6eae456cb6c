"""Run every client's tests against one running gateway; run.sh has installed what they need.

    .venv/bin/python tests/clients/run.py [SUITE...] [-- PYTEST ARGUMENTS]

Exit status 0 if all passed and the gateway stayed in good health, else 1. Where REQUIRE_SERVICES=1, a part that is not
installed (torch, node) is a failure rather than a line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from processes import Server, stop
from stack import HERE, ROOT, SERVER_BIN, VENVS, Stack, stack


@dataclass(frozen=True)
class Suite:
    """One client's tests: `tests` by pytest in the environment `venv`, or, without one, by node in the folder."""

    name: str
    tests: str
    venv: str | None = None

    def command(self, arguments: list[str]) -> list[str]:
        if self.venv is None:
            return ["npm", "test", "--silent"]
        python = str(VENVS / self.venv / "bin" / "python")
        return [python, "-m", "pytest", "-q", "-c", str(HERE / "pytest.ini"), str(HERE / self.tests), *arguments]


SUITES = (
    Suite("openai-3", "test_openai_sdk.py", "clients"),
    Suite("openai-2", "test_openai_sdk.py", "clients-openai2"),
    Suite("langchain", "test_langchain.py", "clients"),
    Suite("llama-index", "test_llama_index.py", "clients-openai2"),
    Suite("instructor", "test_instructor.py", "clients-openai2"),
    Suite("llm", "test_llm_cli.py", "clients-openai2"),
    Suite("openai-npm", "node"),
    Suite("examples-3", "test_examples.py", "clients"),
    Suite("examples-2", "test_examples.py", "clients-openai2"),
)


def main(arguments: list[str]) -> int:
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    names, passed_on = arguments[:cut], arguments[cut + 1 :]
    if unknown := set(names) - {suite.name for suite in SUITES}:
        print(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in SUITES)}", file=sys.stderr)
        return 2
    chosen = [suite for suite in SUITES if not names or suite.name in names]
    missing = list(_missing())
    for line in missing:
        print(f"skipped: {line}", file=sys.stderr)
    if missing and os.environ.get("REQUIRE_SERVICES") == "1":
        return 1
    with stack(with_real_server=_has_torch()) as running:
        failed = [suite.name for suite in chosen if _available(suite) and not _run(suite, running, passed_on)]
        failed += _faults(running.gateway)
    print(f"clients: {'failed: ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


def _run(suite: Suite, running: Stack, arguments: list[str]) -> bool:
    """One suite, told no more than any application would be; True if it passed."""
    began = time.monotonic()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "GATEWAY_"))}
    env |= {
        "OPENAI_BASE_URL": running.base_url,
        "OPENAI_API_KEY": running.key,
        "CLIENTS_MODELS": ",".join(running.models),  # for the tests, which skip a model that is not served
        "TIKTOKEN_CACHE_DIR": str(ROOT / "gateway" / "pricing" / "ranks"),  # langchain-openai would download these
        "NO_PROXY": "127.0.0.1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    print(f"--- {suite.name}", flush=True)
    cwd = HERE / suite.tests if suite.venv is None else HERE
    done = subprocess.run(suite.command(arguments), cwd=cwd, env=env)
    print(f"--- {suite.name}: exit {done.returncode} after {time.monotonic() - began:.1f} s", flush=True)
    return done.returncode == 0


def _faults(gateway: Server) -> Iterator[str]:
    """What went wrong in the gateway though every client was content."""
    if gateway.process.poll() is not None:
        yield f"the gateway ended by itself with {gateway.process.returncode}"
    status = stop(gateway)
    if status != 0:
        yield f"the gateway's exit status after SIGTERM is {status}"
    tracebacks = [line for line in gateway.log.read_text(errors="replace").splitlines() if "Traceback" in line]
    if tracebacks:
        yield f"{len(tracebacks)} tracebacks in the gateway's log"
        print(tracebacks[0].replace("\\n", "\n"))


def _missing() -> Iterator[str]:
    if not _has_torch():
        yield "the real model server: no CPU build of torch in .venv-clients/server (run.sh says how to get one)"
    if not shutil.which("npm"):
        yield "the JavaScript client: install the Debian packages nodejs and npm"


def _has_torch() -> bool:
    python = SERVER_BIN / "python"
    return python.exists() and subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0


def _available(suite: Suite) -> bool:
    return suite.venv is not None or shutil.which("npm") is not None


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
