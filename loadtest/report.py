"""From rounds to a result: medians and spreads, ratios within each round, targets; all of it plain JSON in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from loadtest.metrics import Metric, Round, metrics
from loadtest.settings import Settings
from loadtest.stats import spread
from loadtest.targets import judge

RESULTS = Path(__file__).with_name("results")
_SUBJECT = "gateway"
_BASE = "direct"
_YARDSTICKS = ("nginx", "naive")

Result = dict[str, Any]
Rounds = Mapping[str, Sequence[Round]]


def assemble(
    rounds: Rounds,
    growth: Mapping[str, Any],
    *,
    settings: Settings,
    machine: Mapping[str, object],
    at: datetime,
    commit: str,
    notes: Sequence[str],
    ledger: Mapping[str, Any] | None = None,
) -> Result:
    """One result of a run. `rounds` has each peer's rounds, all equally many; `direct` is one of them."""
    listed = metrics(settings.rates)
    result: Result = {
        "kind": _kind(rounds, settings),
        "date": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit,
        "machine": dict(machine),
        "settings": {**asdict(settings), "rates": list(settings.rates)},  # as JSON gives it back
        "notes": list(notes),
        "metrics": {metric.key: _described(metric) for metric in listed},
        "peers": {name: {"metrics": _spreads(listed, rounds, name), "rounds": list(rounds[name])} for name in rounds},
        "ratios": {name: _ratios(listed, rounds, name) for name in rounds if name not in (_SUBJECT, _BASE)},
        "growth": dict(growth),
        "ledger": dict(ledger or {}),
    }
    result["targets"] = [asdict(judgement) for judgement in judge(result)]
    return result


def write(result: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Write it as `<date>-<commit>.json`; a second run of the same day and commit replaces the first.

    What is not a full run says so in its name, and replaces none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    suffix = "" if result["kind"] == "full" else f"-{result['kind']}"
    path = folder / f"{result['date'][:10]}-{result['commit']}{suffix}.json"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(result, indent=1) + "\n")
    unfinished.replace(path)
    return path


def newest(folder: Path = RESULTS) -> Result | None:
    """The full run with the latest date, else whatever is the latest; None where there is nothing."""
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    found.sort(key=lambda result: (result["kind"] == "full", result["date"]))
    return found[-1] if found else None


def _kind(rounds: Rounds, settings: Settings) -> str:
    if not {_SUBJECT, _BASE, *_YARDSTICKS} <= rounds.keys():
        return "partial"
    return "quick" if settings.quick else "full"


def _described(metric: Metric) -> dict[str, Any]:
    return {"title": metric.title, "unit": metric.unit, "digits": metric.digits}


def _series(metric: Metric, rounds: Rounds, name: str) -> list[float | None]:
    return [metric.find(mine, direct) for mine, direct in zip(rounds[name], rounds[_BASE], strict=True)]


def _spreads(listed: Sequence[Metric], rounds: Rounds, name: str) -> dict[str, dict[str, float]]:
    found = {}
    for metric in listed:
        values = spread([value for value in _series(metric, rounds, name) if value is not None])
        if values is not None:
            found[metric.key] = asdict(values)
    return found


def _ratios(listed: Sequence[Metric], rounds: Rounds, other: str) -> dict[str, dict[str, float]]:
    if _SUBJECT not in rounds:
        return {}
    found = {}
    for metric in listed:
        pairs = zip(_series(metric, rounds, _SUBJECT), _series(metric, rounds, other), strict=True)
        values = spread([a / b for a, b in pairs if a is not None and b is not None and b > metric.noise])
        if values is not None:
            found[metric.key] = asdict(values)
    return found
