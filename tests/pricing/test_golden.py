"""Prices that were worked out by hand come out to the nano-dollar."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.model.usage import Usage
from gateway.pricing.catalogue import bundled
from gateway.pricing.contracts import Book
from gateway.pricing.corrections import corrections
from gateway.pricing.cost import meter
from gateway.pricing.table import PriceTable

SECOND = re.compile(r"[\w-]+ \d[\w.]*(?: \(.+\))?, seen \d{4}-\d\d-\d\d")  # a name, a version, the day it was seen
VECTORS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("golden.yaml").read_text())
TABLE = PriceTable(Book(), corrections(), bundled(), {one["provider"]: one["provider"] for one in VECTORS})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_call_costs_what_the_price_page_says(vector: dict[str, Any]) -> None:
    rates = TABLE.rates(vector["provider"], vector["model"], vector["at"], vector.get("tier"))
    cost = meter(rates, Usage(**vector.get("usage", {})), vector.get("units"))
    assert {line.meter: line.nano_usd for line in cost.lines} == vector["lines"], cost.unpriced
    assert cost.nano_usd == vector["total"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_vector_adds_up_and_names_its_page(vector: dict[str, Any]) -> None:
    assert sum(vector["lines"].values()) == vector["total"]
    assert vector["page"].startswith("https://")
    assert kind(vector) in ("page", "second", "catalogue")


def kind(vector: dict[str, Any]) -> str:
    """How the vector's price is known: from a copy of its page, from a second data set, or from the catalogue alone."""
    seen = "page" if "read" in vector else "second" if "second" in vector else ""
    if (seen and "by" in vector) or ("copy" in vector and seen != "page"):
        return "several"
    if seen == "page" and not isinstance(vector["read"], date):
        return "page of no date"
    if "second" in vector and not SECOND.fullmatch(vector["second"]):
        return "data set of no version or date"
    return seen or str(vector.get("by"))


def test_at_most_a_few_prices_rest_on_a_second_data_set_and_none_on_the_catalogue_alone() -> None:
    kinds = Counter(kind(vector) for vector in VECTORS)
    assert kinds == {"page": 29, "second": 4}, "the account of docs/prices.md says the same"


def test_the_vectors_cover_every_provider_and_kind_that_they_should() -> None:
    assert {vector["provider"] for vector in VECTORS} >= {
        "openai",
        "anthropic",
        "google",
        "aws",
        "azure",
        "mistral",
        "deepseek",
    }
    assert {name for vector in VECTORS for name in vector["lines"]} >= {
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "reasoning",
        "input_audio",
        "cache_read_audio",
        "output_audio",
        "output_image",
        "requests",
    }
