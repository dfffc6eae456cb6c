"""Each unit is charged once, at its most specific price; sums are exact; what cannot be true is refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.price import Cost, Rates, Unpriced, UsageError
from gateway.model.usage import Usage
from gateway.pricing.cost import ceiling, half_even, meter
from gateway.pricing.meters import MEDIA, METERS
from tests.pricing.sheets import EVENING, MORNING, rates

FULL = {
    "input": 3_000_000_001,
    "cache_read": 300_000_500,
    "cache_write": 3_750_000_000,
    "cache_write_1h": 6_000_000_000,
    "input_audio": 40_000_000_000,
    "cache_read_audio": 400_000_001,
    "output": 15_000_000_003,
    "reasoning": 9_000_000_000,
    "output_audio": 80_000_000_000,
    "reasoning_audio": 80_000_000_000,
}
TEXT = {name: FULL[name] for name in ("input", "cache_read", "cache_write", "output")}


def lines(cost: Cost) -> dict[str, int]:
    return {line.meter: line.quantity for line in cost.lines}


def test_every_token_is_charged_once_at_its_most_specific_price() -> None:
    usage = Usage(
        input_tokens=1000,
        cache_read_tokens=400,
        cache_write_tokens=300,
        cache_write_1h_tokens=100,
        input_audio_tokens=150,
        cache_read_audio_tokens=50,
        output_tokens=500,
        reasoning_tokens=200,
        output_audio_tokens=30,
    )
    assert lines(meter(rates((-1, FULL)), usage)) == {
        "input": 1000 - 400 - 300 - 100,
        "cache_read": 350,
        "cache_read_audio": 50,
        "cache_write": 200,
        "cache_write_1h": 100,
        "input_audio": 100,
        "output": 270,
        "reasoning": 200,
        "output_audio": 30,
    }


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(100, 10, cache_read_tokens=40, cache_write_tokens=20), {"input": 100, "output": 10}),
        (Usage(100, 10, reasoning_tokens=10), {"input": 100, "output": 10}),
        (Usage(100, 10, input_audio_tokens=60, input_image_tokens=40), {"input": 100, "output": 10}),
        (Usage(100, 0), {"input": 100}),
        (Usage(0, 0), {}),
    ],
)
def test_a_part_without_a_price_is_charged_as_what_it_is_part_of(usage: Usage, expected: dict[str, int]) -> None:
    assert lines(meter(rates((-1, {"input": 5, "output": 7})), usage)) == expected


def test_crossing_a_threshold_prices_the_whole_call_at_the_higher_level() -> None:
    tiered = rates(
        (200_000, {"input": 6_000_000, "output": 9_000_000}), (-1, {"input": 3_000_000, "output": 5_000_000})
    )
    assert meter(tiered, Usage(200_000, 10)).nano_usd == 200_000 * 3 + 10 * 5
    assert meter(tiered, Usage(200_001, 10)).nano_usd == 200_001 * 6 + 10 * 9


def test_a_fee_is_charged_once_a_request_or_as_often_as_is_said() -> None:
    fee = rates((-1, {"input": 0, "output": 0, "requests": 12_000_000_000_000}))
    assert meter(fee, Usage(1, 1)).nano_usd == 12_000_000
    assert meter(fee, Usage(1, 1), {"requests": 3}).nano_usd == 36_000_000


def test_a_second_is_charged_by_the_hours_price() -> None:
    cost = meter(rates((-1, {"audio_seconds": 40_000_000_000_000})), Usage(), {"input_audio_seconds": 10})
    assert cost.nano_usd == 111_111
    (line,) = cost.lines
    assert (line.meter, line.quantity, line.per) == ("audio_seconds", 10, 3_600_000_000)


@pytest.mark.parametrize(
    ("prices", "usage", "units", "missing"),
    [
        ({"output": 5}, Usage(10, 5), None, "input"),
        ({"input": 5}, Usage(10, 5), None, "output"),
        ({"input": 5, "output": 5}, Usage(10, 5), {"images": 1}, "images"),
        ({"input_audio": 5, "output": 5}, Usage(10, 5, input_audio_tokens=4), None, "input"),
    ],
)
def test_what_has_no_price_makes_the_cost_unpriced_and_never_zero(
    prices: dict[str, int], usage: Usage, units: dict[str, int] | None, missing: str
) -> None:
    cost = meter(rates((-1, prices)), usage, units)
    assert cost.nano_usd is None
    assert cost.usd is None
    assert cost.unpriced == f"prices.yaml:1 has no price for {missing}"


def test_a_model_without_rates_is_unpriced_with_their_reason() -> None:
    cost = meter(Unpriced("nobody knows", MORNING, EVENING), Usage(1, 1))
    assert cost == Cost(None, unpriced="nobody knows")


def test_a_price_of_zero_is_a_price() -> None:
    cost = meter(rates((-1, {"input": 0, "output": 0})), Usage(10, 10))
    assert (cost.nano_usd, cost.unpriced, cost.usd) == (0, None, Decimal(0))


@pytest.mark.parametrize("prices", [TEXT, FULL, {"input": 1, "output": 1}], ids=["text", "full", "plain"])
@pytest.mark.parametrize(
    ("usage", "named"),
    [
        (Usage(10, 0, cache_read_tokens=11), "cache_read_tokens"),
        (Usage(10, 0, cache_read_tokens=6, cache_write_tokens=5), "cache_read_tokens + cache_write_tokens"),
        (Usage(10, 5, reasoning_tokens=6), "reasoning_tokens"),
        (Usage(10, 5, cache_write_tokens=2, cache_write_1h_tokens=3), "cache_write_1h_tokens"),
        (Usage(10, 5, input_audio_tokens=8, input_image_tokens=3), "input_audio_tokens + input_image_tokens"),
        (Usage(10, 5, cache_read_audio_tokens=1), "cache_read_audio_tokens"),
        (Usage(10, 5, output_audio_tokens=6), "output_audio_tokens"),
        (Usage(10, 5, cache_read_tokens=-1), "cache_read_tokens is negative"),
        (Usage(10, -5), "output_tokens is negative"),
        (Usage(-1, 5), "input_tokens"),
    ],
)
def test_a_part_that_exceeds_its_whole_is_refused_by_name(prices: dict[str, int], usage: Usage, named: str) -> None:
    with pytest.raises(UsageError, match=named.replace("+", r"\+")):
        meter(rates((-1, prices)), usage)


@pytest.mark.parametrize("units", [{"picturs": 1}, {"images": -1}])
def test_units_that_cannot_be_are_refused(units: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        meter(rates((-1, TEXT)), Usage(), units)


# Properties

counts = st.integers(min_value=0, max_value=3_000_000)
rate_values = st.integers(min_value=0, max_value=200_000_000_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read, written, fresh, made, thought = (draw(counts) for _ in range(5))
    heard = draw(st.integers(0, fresh))
    return Usage(
        input_tokens=read + written + fresh,
        output_tokens=made + thought,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=thought,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        input_audio_tokens=heard,
        output_audio_tokens=draw(st.integers(0, made)),
    )


@st.composite
def price_lists(draw: st.DrawFn) -> Rates:
    optional = draw(st.sets(st.sampled_from(sorted(set(FULL) - {"input", "output"}))))
    return rates((-1, {name: draw(rate_values) for name in sorted({"input", "output", *optional})}))


@given(price_lists(), usages())
def test_the_lines_add_up_and_none_is_negative(priced: Rates, usage: Usage) -> None:
    cost = meter(priced, usage)
    assert cost.nano_usd == sum(line.nano_usd for line in cost.lines) == cost.known_nano_usd
    assert all(line.nano_usd >= 0 and line.quantity > 0 for line in cost.lines)
    assert sum(line.quantity for line in cost.lines) == usage.input_tokens + usage.output_tokens


@given(price_lists(), usages())
def test_each_line_is_its_exact_amount_rounded_half_even_once(priced: Rates, usage: Usage) -> None:
    for line in meter(priced, usage).lines:
        assert line.nano_usd == round(Fraction(line.quantity * line.rate, line.per))


@given(price_lists(), usages(), usages())
def test_two_calls_in_one_cost_the_same_but_for_the_rounding_of_each_meter(
    priced: Rates, first: Usage, second: Usage
) -> None:
    fields = [name for name in Usage.__struct_fields__ if name != "source"]
    together = Usage(**{name: getattr(first, name) + getattr(second, name) for name in fields})
    apart = meter(priced, first).known_nano_usd + meter(priced, second).known_nano_usd
    assert abs(meter(priced, together).known_nano_usd - apart) <= 1.5 * len(METERS)


@given(price_lists(), usages(), st.integers(1, 1000))
def test_more_fresh_input_or_output_never_costs_less(priced: Rates, usage: Usage, more: int) -> None:
    cost = meter(priced, usage).known_nano_usd
    fields = {name: getattr(usage, name) for name in Usage.__struct_fields__}
    for name in ("input_tokens", "output_tokens"):
        assert meter(priced, Usage(**{**fields, name: fields[name] + more})).known_nano_usd >= cost


@given(st.dictionaries(st.sampled_from(sorted(TEXT)), rate_values).filter(lambda found: "input" in found), usages())
def test_the_short_way_and_the_long_way_agree(prices: dict[str, int], usage: Usage) -> None:
    plain = Usage(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )
    priced = rates((-1, prices))
    assert meter(priced, plain) == meter(priced, plain, {"images": 0})


@given(price_lists(), usages(), counts, counts)
def test_no_call_within_its_bounds_costs_more_than_its_ceiling(
    priced: Rates, usage: Usage, spare_in: int, spare_out: int
) -> None:
    bound = ceiling(priced, usage.input_tokens + spare_in, usage.output_tokens + spare_out)
    assert meter(priced, usage).known_nano_usd <= bound


def test_a_ceiling_counts_the_level_that_the_input_can_reach() -> None:
    tiered = rates(
        (200_000, {"input": 2_000_000, "output": 3_000_000}), (-1, {"input": 1_000_000, "output": 1_000_000})
    )
    assert ceiling(tiered, 200_000, 100) < 200_200 < 400_000 < ceiling(tiered, 200_001, 100)


def test_a_ceiling_without_media_leaves_their_prices_out() -> None:
    heard = rates((-1, FULL))
    assert ceiling(heard, 1000, 1000) > 100_000_000
    text = ceiling(heard, 1000, 1000, without=MEDIA | {"cache_write_1h"})
    assert 3_750_000 + 15_000_000 <= text < 3_750_000 + 15_000_100


def test_a_ceiling_counts_the_fee_and_the_units_that_it_is_told() -> None:
    fee = rates((-1, {"input": 0, "output": 0, "requests": 10**13, "web_searches": 10**13}))
    assert ceiling(fee, 1, 1, units={"web_searches": 2}) >= 30_000_000


@given(st.integers(0, 10**12), st.integers(1, 10**9))
def test_half_even_is_the_rounding_of_python(numerator: int, denominator: int) -> None:
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))
