"""Parameters as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.errors import InvalidRequest, NotFound
from gateway.reports.base import Parameter, Report
from gateway.reports.listing import find, plugins, reports


@pytest.mark.parametrize(
    ("parameter", "text", "expected"),
    [
        (Parameter("by", "names", "", choices=("team", "model")), " team, model,team ", ("team", "model")),
        (Parameter("by", "names", ""), "", ()),
        (Parameter("team", "text", ""), "a b", "a b"),
        (Parameter("limit", "count", ""), "20", 20),
        (Parameter("budget", "usd", ""), "1200.50", 1_200_500_000_000),
        (Parameter("budget", "usd", ""), "0.000000001", 1),
        (Parameter("level", "number", ""), "0.95", Decimal("0.95")),
    ],
)
def test_a_parameter_is_parsed_exactly(parameter: Parameter, text: str, expected: object) -> None:
    assert parameter.parse(text) == expected


@pytest.mark.parametrize(
    ("parameter", "text", "message"),
    [
        (Parameter("by", "names", "", choices=("team", "model")), "teem", "did you mean `team`"),
        (Parameter("by", "names", "", choices=("team", "model")), "xyz", "one of team, model"),
        (Parameter("limit", "count", ""), "0", "whole number"),
        (Parameter("limit", "count", ""), "2.5", "whole number"),
        (Parameter("limit", "count", ""), "many", "whole number"),
        (Parameter("budget", "usd", ""), "$5", "dollars"),
        (Parameter("budget", "usd", ""), "-5", "dollars"),
        (Parameter("budget", "usd", ""), "NaN", "dollars"),
        (Parameter("level", "number", ""), "Infinity", "number"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(parameter: Parameter, text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as raised:
        parameter.parse(text)
    assert raised.value.param == parameter.name


def test_a_parameter_that_a_report_lacks_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match="did you mean `limit`"):
        find("spend").parse({"limits": "5"})


def test_every_module_with_a_report_is_found_and_names_its_own_file() -> None:
    for name, plugin in plugins().items():
        assert isinstance(plugin.value, Report)
        assert plugin.module == f"gateway.reports.{name.replace('-', '_')}"


def test_the_reports_that_finance_needs_are_there() -> None:
    assert list(reports()) == [
        *("anomalies", "budget-burn", "cache-savings", "chargeback", "movers"),
        *("prompt-versions", "requests", "spend", "unit-economics", "unpriced"),
    ]


def test_an_unknown_report_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="did you mean `spend`"):
        find("spent")
