"""A result as tables: for the terminal, and as Markdown for the README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

_NAMES = {"direct": "no proxy", "naive": "starlette + httpx", "litellm": "LiteLLM"}
_NOTHING = "-"
_VERDICTS = {True: "pass", False: "FAIL", None: "not measured"}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: its title with the unit, a cell for each peer, a cell for each ratio."""

    title: str
    cells: tuple[str, ...]


def heads(result: Mapping[str, Any]) -> list[str]:
    """The columns: the figure, each peer, and the gateway against each other proxy."""
    peers = [_NAMES.get(name, name) for name in result["peers"]]
    ratios = [f"gateway / {_NAMES.get(name, name)}" for name in _compared(result)]
    return ["", *peers, *ratios]


def rows(result: Mapping[str, Any], *, spreads: bool) -> list[Row]:
    """Every figure that somebody has; with `spreads`, lowest and highest beside the median of several rounds."""
    found = []
    for key, metric in result["metrics"].items():
        values = [peer["metrics"].get(key) for peer in result["peers"].values()]
        if not any(values):
            continue
        ratios = [result["ratios"][name].get(key) for name in _compared(result)]
        unit = f", {metric['unit']}" if metric["unit"] else ""
        cells = [_figure(value, metric["digits"], spreads) for value in values]
        found.append(Row(metric["title"] + unit, (*cells, *(_ratio(value) for value in ratios))))
    return found


def terminal(result: Mapping[str, Any]) -> list[Table]:
    """The figures with their spreads, how cost grows, and the targets."""
    several = result["settings"]["rounds"] > 1
    figures = Table(*heads(result), title=f"{result['date'][:10]}  {result['commit']}  {result['machine']['cpu']}")
    for row in rows(result, spreads=several):
        figures.add_row(row.title, *row.cells)
    targets = Table("target", "limit", "found", "", title="targets")
    for judgement in result["targets"]:
        targets.add_row(*_judgement(judgement))
    return [figures, *_growth(result), targets]


def markdown(result: Mapping[str, Any]) -> str:
    """The README's table: medians and ratios, with the date, the machine and the commit below."""
    lines = [_line(heads(result)), _line(["---"] + ["---:"] * (len(heads(result)) - 1))]
    lines += [_line([row.title, *row.cells]) for row in rows(result, spreads=False)]
    machine = result["machine"]
    origin = (
        f"Measured on {result['date'][:10]} at commit {result['commit']}, {machine['cores']} cores of "
        f"{machine['cpu']}, Python {machine['python']}; one worker each, medians of {result['settings']['rounds']} "
        "interleaved rounds. Trust the ratios more than the figures."
    )
    return "\n".join([*lines, "", origin, *(f"Note: {note}." for note in result["notes"])]) + "\n"


def _compared(result: Mapping[str, Any]) -> list[str]:
    return [name for name, ratios in result["ratios"].items() if ratios]


def _growth(result: Mapping[str, Any]) -> list[Table]:
    if not result["growth"]:
        return []
    table = Table("the gateway with", "CPU per request, us", "ratio", title="growth")
    for growth in result["growth"].values():
        table.add_row(growth["title"], _figure(growth["cpu_us_per_request"], 1, True), _ratio(growth.get("ratio")))
    return [table]


def _judgement(judgement: Mapping[str, Any]) -> Sequence[str]:
    value = _NOTHING if judgement["value"] is None else f"{judgement['value']:.3g}"
    return judgement["title"], f"{judgement['sense']} {judgement['limit']:.3g}", value, _VERDICTS[judgement["passed"]]


def _figure(value: Mapping[str, float] | None, digits: int, spreads: bool) -> str:
    if value is None:
        return _NOTHING
    median = f"{value['median']:,.{digits}f}"
    if not spreads or value["low"] == value["high"]:
        return median
    return f"{median} ({value['low']:,.{digits}f}-{value['high']:,.{digits}f})"


def _ratio(value: Mapping[str, float] | None) -> str:
    if value is None:
        return _NOTHING
    median = value["median"]
    # Below one, "1/20" says more than "0.05".
    if 0 < median < 0.5:
        return f"1/{1 / median:,.{1 if median > 0.1 else 0}f}"
    return f"{median:.2f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
