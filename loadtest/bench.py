"""`make bench`: the gateway beside nginx and a naive proxy, in one run on one machine.

    python -m loadtest.bench                     everything, under eight minutes
    python -m loadtest.bench --quick             a smoke test, under one
    python -m loadtest.bench --peers litellm     LiteLLM too
    python -m loadtest.bench --markdown          no run: the newest result as the README's table

Prints tables and writes JSON under loadtest/results/. Exit status: 0 measured, 1 with `--strict` where a target is
missed, 2 where it could not be measured. See docs/performance.md for what each figure means.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest import growth, machine, report, table
from loadtest.ledger_bench import saturation
from loadtest.machine import BenchError
from loadtest.notes import notes
from loadtest.peers import ALWAYS, ON_REQUEST, Peer
from loadtest.processes import Cores, on_cores, share_cores
from loadtest.run import measure_peers, start_mock, step_count
from loadtest.settings import FULL, QUICK, Settings

_PACKAGES = {"nginx": "nginx", "wrk": "wrk"}


def main() -> None:
    """The command line."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _leave)  # so that what was started is stopped
    try:
        sys.exit(_print_newest() if arguments.markdown else _bench(arguments))
    except BenchError as error:
        Console(stderr=True).print(f"bench: {error}", style="red", markup=False, highlight=False)
        sys.exit(2)


def _arguments() -> argparse.Namespace:
    names = [peer.name for peer in ALWAYS]
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description="Measure the gateway and its peers.")
    parser.add_argument("--quick", action="store_true", help="short measurements, under a minute: a smoke test")
    parser.add_argument("--peers", type=_names(list(ON_REQUEST)), default=[], help="others to measure too: litellm")
    parser.add_argument("--only", type=_names(names), default=names, help=f"leave out the rest of {','.join(names)}")
    parser.add_argument("--rounds", type=int, help="rounds of each peer; more for a quieter median")
    parser.add_argument("--seed", type=int, help="of the arrival times")
    parser.add_argument("--no-growth", action="store_true", help="leave out 100,000 keys and 10,000 models")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--markdown", action="store_true", help="print the newest result as Markdown, measure nothing")
    return parser.parse_args()


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there is {', '.join(known)}")
        return names

    return parse


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _print_newest() -> int:
    result = report.newest()
    if result is None:
        raise BenchError("there is no result yet; run `make bench` first")
    sys.stdout.write(table.markdown(result))
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    machine.require_programs(_PACKAGES)
    settings = _settings(arguments)
    # The figures that are added need the run without a proxy, whatever else was asked for.
    peers = [peer for peer in ALWAYS if peer.name in (*arguments.only, "direct")]
    peers += [ON_REQUEST[name] for name in arguments.peers]
    wants_growth = not arguments.no_growth and "gateway" in arguments.only
    result = _measure(peers, settings, share_cores(), wants_growth)
    path = report.write(result)
    _show(result, path)
    missed = any(judgement["passed"] is False for judgement in result["targets"])
    return 1 if missed and arguments.strict else 0


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = QUICK if arguments.quick else FULL
    given = {name: getattr(arguments, name) for name in ("rounds", "seed") if getattr(arguments, name) is not None}
    return dataclasses.replace(settings, **given)


def _measure(peers: Sequence[Peer], settings: Settings, cores: Cores, wants_growth: bool) -> report.Result:
    at, commit = machine.now(), machine.commit()  # of the start: files may change meanwhile
    described = machine.describe()
    grown: dict[str, Any] = {}
    books: dict[str, Any] = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        steps = stack.enter_context(_Steps(step_count(peers, settings) + wants_growth * growth.step_count(settings)))
        stack.enter_context(on_cores(cores.drivers))
        described["fsync_p99_ms"] = machine.fsync_p99_ms(scratch, settings.fsyncs)
        stage = start_mock(cores, scratch, stack)
        rounds = measure_peers(peers, stage, settings, steps)
        if wants_growth:
            grown = growth.measure_growth(stage, settings, steps)
            books = {"us_per_call": {"median": saturation(scratch)}}
    return report.assemble(
        rounds, grown, settings=settings, machine=described, at=at, commit=commit, notes=notes(rounds), ledger=books
    )


class _Steps:
    """The progress of a run: a bar on a terminal, else a line a step. Drawn between measurements, never during one."""

    def __init__(self, total: int) -> None:
        self._console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=self._console, auto_refresh=False, transient=True)
        self._task = self._progress.add_task("", total=total)
        self._began = time.monotonic()

    def __enter__(self) -> _Steps:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, what: str) -> None:
        if not self._console.is_terminal:
            self._console.print(f"{time.monotonic() - self._began:5.0f} s  {what}", highlight=False)
            return
        self._progress.update(self._task, description=what, advance=1)
        self._progress.refresh()


def _show(result: Mapping[str, Any], path: Path) -> None:
    # A file or a pipe has no width; tables cut to eighty columns would say nothing.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    for one in table.terminal(result):
        console.print(one)
    for note in result["notes"]:
        console.print(f"note: {note}", markup=False, highlight=False)
    console.print(f"fsync p99 {result['machine']['fsync_p99_ms']:.2f} ms; written to {path}", markup=False)


if __name__ == "__main__":
    main()
