"""What the models of a batch cost."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.batches.prices import Bill
from gateway.model.usage import Usage
from gateway.pricing.catalogue import bundled
from gateway.pricing.contracts import Book
from gateway.pricing.corrections import corrections
from gateway.pricing.table import PriceTable
from tests.batches.world import NOW, PRICES
from tests.pricing.sheets import book

AT = datetime.fromtimestamp(NOW, UTC)


@pytest.fixture
def bill() -> Bill:
    return Bill(PriceTable(book(PRICES), Book(), None, {}), "p", AT)


def test_a_million_short_prompts_are_not_a_long_one(bill: Bill) -> None:
    for _ in range(3):
        bill.add("long", Usage(900, 10))
    bill.add("long", Usage(1001, 10))
    (used,) = bill.used()
    assert used.usage == Usage(3701, 40)
    assert used.cost.nano_usd == 3 * (900 * 1000 + 10 * 2000) + 1001 * 2000 + 10 * 3000
    assert [(line.meter, line.quantity) for line in used.cost.lines] == [
        ("input", 2700),
        ("output", 30),
        ("input", 1001),
        ("output", 10),
    ]


def test_each_model_has_its_price(bill: Bill) -> None:
    bill.add("plain", Usage(1000, 100, 400))
    bill.add("other", Usage(1, 1))
    assert [(used.model, used.cost.nano_usd) for used in bill.used()] == [("other", 30_000), ("plain", 840_000)]


def test_a_fee_is_for_every_request(bill: Bill) -> None:
    for _ in range(3):
        bill.add("fee", Usage(10))
    assert bill.used()[0].cost.nano_usd == 3 * 1_000_000 + 30 * 1000


@pytest.mark.parametrize("model", ["unknown", "standard-only"])
def test_what_has_no_batch_price_is_unpriced_and_not_free(bill: Bill, model: str) -> None:
    bill.add(model, Usage(1000, 100))
    (used,) = bill.used()
    assert used.cost.nano_usd is None and used.cost.unpriced
    assert used.usage == Usage(1000, 100)


def test_a_count_that_cannot_be_true_is_no_price(bill: Bill) -> None:
    bill.add("plain", Usage(10, 1, cache_read_tokens=20))
    assert bill.used()[0].cost.nano_usd is None


@pytest.mark.parametrize(
    ("model", "is_told"),
    [("plain", True), ("other", True), ("long", False), ("unknown", True), ("fee", False)],
)
def test_a_price_by_length_needs_the_requests(bill: Bill, model: str, is_told: bool) -> None:
    assert bill.is_told_by_totals(model) is is_told


def test_what_is_only_known_in_sum_is_priced_as_short_requests(bill: Bill) -> None:
    used = bill.guess("long", Usage(5000, 10), "why")
    assert used.cost.nano_usd == 5000 * 1000 + 10 * 2000 and used.is_guess
    assert bill.guess("long", None, "why").cost.unpriced == "why"
    assert bill.guess("", Usage(1, 1), "why").cost.nano_usd is None


def test_openai_s_batch_price_is_half(bill: Bill) -> None:
    """The same call as in the golden prices: $0.625 and $5 for a million."""
    of_openai = Bill(PriceTable(Book(), corrections(), bundled(), {"o": "openai"}), "o", AT)
    assert of_openai.is_told_by_totals("gpt-5-2025-08-07") and not of_openai.is_told_by_totals("gpt-5.5")
    of_openai.add("gpt-5-2025-08-07", Usage(12345, 6789, reasoning_tokens=6000))
    assert of_openai.used()[0].cost.nano_usd == 41_660_625
