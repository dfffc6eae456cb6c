"""The corrections are about errors that this version of the catalogue really has, and each names its source."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from gateway.model.price import Rates
from gateway.pricing.catalogue import bundled
from gateway.pricing.contracts import Row
from gateway.pricing.corrections import FILE, corrections

ENTRIES: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())
ROWS = corrections().rows


def test_every_entry_is_read() -> None:
    assert len(ROWS) == len(ENTRIES) > 0


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['model']} {entry.get('service_tier', '')}")
def test_a_correction_says_why_where_and_when(entry: dict[str, Any]) -> None:
    assert entry["source"].startswith("https://")
    assert entry["checked"] >= entry["from"]
    assert entry["why"].endswith(".")


def moments(row: Row) -> list[datetime]:
    """Hours of the week after the day on which the correction was checked, of which some should need it."""
    begin = datetime(2026, 11, 23, tzinfo=UTC)
    hours = (begin + timedelta(hours=hour) for hour in range(24 * 7))
    return [at for at in hours if row.days is None or at.weekday() in row.days]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.model} {row.tier}")
def test_the_catalogue_still_has_the_error_that_is_corrected(row: Row) -> None:
    listed = [bundled().rates(row.provider, row.model.rstrip("*"), at, row.tier) for at in moments(row)]
    if row.instead_of is None:
        assert not any(isinstance(one, Rates) for one in listed)
        return
    wrong = [one for one in listed if isinstance(one, Rates) and one.levels[-1].prices == row.instead_of]
    assert wrong, [one.levels[-1].prices for one in listed if isinstance(one, Rates)]
    assert all(one.levels != row.levels for one in wrong)
