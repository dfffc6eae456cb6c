"""All reports there are: found in this folder and in the entry points of the group `gateway.reports`."""

from __future__ import annotations

import difflib
from functools import cache

import gateway.reports
from gateway.errors import NotFound
from gateway.registry import Plugin, discover
from gateway.reports.base import Report


@cache
def plugins() -> dict[str, Plugin]:
    """Reports by name, with the module that offers each."""
    return discover(gateway.reports, "REPORT", lambda report: report.name)


def reports() -> dict[str, Report]:
    """Reports by name, in the order of their names."""
    return {name: plugins()[name].value for name in sorted(plugins())}


def find(name: str) -> Report:
    """The report `name`. Raises `NotFound` with the nearest."""
    found = reports().get(name)
    if found is None:
        near = difflib.get_close_matches(name, reports(), 1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(reports())}."
        raise NotFound(f"There is no report `{name}`; {hint}")
    return found
