"""What docs/prices.md says is so: its examples load, its meters and corrections are all there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.pricing.catalogue import MAX_AGE
from gateway.pricing.contracts import _DURATIONS, _KEYS, TIERS
from gateway.pricing.corrections import corrections
from gateway.pricing.meters import METERS, TOKENS, UNITS
from tests.pricing.sheets import read

PAGE = (Path(__file__).parents[2] / "docs/prices.md").read_text()
SPANS = set(re.findall(r"`([^`\n]+)`", PAGE))


@pytest.mark.parametrize("example", re.findall(r"```yaml prices\n(.*?)```", PAGE, re.DOTALL))
def test_an_example_loads_without_fault(example: str) -> None:
    rows, faults = read(example)
    assert faults == []
    assert rows.rows


@pytest.mark.parametrize("key", _KEYS)
def test_every_key_is_explained(key: str) -> None:
    assert re.search(rf"^\|[^|]*`{key}`", PAGE, re.MULTILINE)


def test_every_meter_is_named() -> None:
    text = {name for name in TOKENS if METERS[name].dimensions.isdisjoint({("modality", "audio")})}
    plain = {name for name in text if not name.endswith(("_image", "_video"))}
    assert plain <= SPANS
    assert UNITS - {name for name, _ in _DURATIONS.values()} <= SPANS
    assert set(TIERS) - {"standard"} <= SPANS


def test_every_correction_is_listed() -> None:
    rows = re.findall(r"^\| (\w+) \| (.+?) \|", PAGE.partition("## Errors of the catalogue")[2], re.MULTILINE)
    listed = {
        (provider, re.sub(r"\*$", "", name)) for provider, cell in rows for name in re.findall(r"`([^`]+)`", cell)
    }
    for row in corrections().rows:
        assert any(row.provider == provider and row.model.startswith(name) for provider, name in listed), row.model


def test_the_age_that_is_worth_an_alarm_is_the_one_told() -> None:
    assert f"Over {MAX_AGE.days} days are worth an alarm" in PAGE
