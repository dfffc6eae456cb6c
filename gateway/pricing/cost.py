"""Usage x rates -> cost: each unit is charged once, at its most specific price, and each meter is rounded once.

A meter's amount is quantity x rate, rounded half-even to a nano-dollar; a call is the sum of its meters. The rule of
the most specific price is explained in `meters.py`; where a meter has none, its tokens are charged as what they are a
part of: reasoning as output, a cache write as input.

Most calls are text with a cache, and take the short way (about 1 us); both ways give the same, and a test says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.model.price import Cost, Level, Line, Rates, Unpriced, UsageError
from gateway.model.usage import Usage
from gateway.pricing.meters import METERS, MILLION, TOKENS, parts

_HALF = MILLION // 2
_INPUT = frozenset(name for name in TOKENS if ("direction", "input") in METERS[name].dimensions)


def meter(rates: Rates | Unpriced, usage: Usage, units: Mapping[str, int] | None = None) -> Cost:
    """Price one call.

    `usage` counts tokens; `units` what is not in it, by the names of `meters.py`: `{"web_searches": 2, "images": 1}`,
    durations in whole seconds. A request that has a fee counts as one unless `units` says otherwise. What has no price
    makes the cost unpriced, never zero.

    Raises `UsageError` if a part exceeds its whole.
    """
    if isinstance(rates, Unpriced):
        return Cost(None, unpriced=rates.reason)
    level = rates.level(usage.input_tokens)
    if (
        level.plain
        and not units
        and not (
            usage.cache_write_1h_tokens
            or usage.input_audio_tokens
            or usage.output_audio_tokens
            or usage.input_image_tokens
            or usage.output_image_tokens
            or usage.cache_read_audio_tokens
            or usage.cache_read_image_tokens
            or usage.citation_tokens
        )
        and (level.output is not None or not usage.output_tokens)
    ):
        return _plain(level, usage, rates)
    _check(usage)
    return _detailed(level, _quantities(level, usage, units or {}), rates)


def _plain(level: Level, usage: Usage, rates: Rates) -> Cost:
    read, written, made = usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens
    fresh = usage.input_tokens - read - written
    if fresh < 0 or read < 0 or written < 0 or not 0 <= usage.reasoning_tokens <= made:
        _check(usage)
    if level.cache_read is None:
        fresh, read = fresh + read, 0
    if level.cache_write is None:
        fresh, written = fresh + written, 0
    lines = []
    total = 0
    for name, quantity, rate in (
        ("input", fresh, level.input),
        ("cache_read", read, level.cache_read),
        ("cache_write", written, level.cache_write),
        ("output", made, level.output),
    ):
        if quantity and rate is not None:
            amount, rest = divmod(quantity * rate, MILLION)
            if rest > _HALF or (rest == _HALF and amount & 1):
                amount += 1
            total += amount
            lines.append(Line(name, quantity, rate, MILLION, amount))
    return Cost(total, tuple(lines), rates.source)


def _detailed(level: Level, quantities: Mapping[str, int], rates: Rates) -> Cost:
    charged: dict[str, int] = {}
    lines = []
    missing = []
    for charge in level.charges:
        whole = quantities.get(charge.meter)
        if whole is None:  # not counted in its own right: it is what its uncharged parts add up to
            whole = sum(quantities[name] for name in parts(charge.meter, quantities))
            whole = max(whole, sum(charged[name] for name in charge.parts))
        left = charged[charge.meter] = whole - sum(charged[name] for name in charge.parts)
        if left < 0:
            names = ", ".join(name for name in charge.parts if charged[name])
            raise UsageError(f"{names} add up to {whole - left}, more than the {charge.meter} of {whole}")
        if left and charge.rate is None:
            missing.append(charge.meter)
        elif left and charge.rate is not None:
            amount = half_even(left * charge.rate, charge.per)
            lines.append(Line(charge.meter, left, charge.rate, charge.per, amount))
    missing += _uncharged(level, quantities)
    lines.sort(key=lambda line: _ORDER[line.meter])
    if missing:
        reason = f"{rates.source.where} has no price for {', '.join(sorted(missing))}"
        return Cost(None, tuple(lines), rates.source, reason)
    return Cost(sum(line.nano_usd for line in lines), tuple(lines), rates.source)


def _uncharged(level: Level, quantities: Mapping[str, int]) -> list[str]:
    """What is counted and neither charged nor a part of anything that is."""
    charged = [METERS[charge.meter] for charge in level.charges]
    return [
        name
        for name, quantity in quantities.items()
        if quantity and not any(whole.includes(METERS[name]) for whole in charged)
    ]


def half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest whole number, a tie to the even one."""
    amount, rest = divmod(numerator, denominator)
    return amount + (2 * rest > denominator or (2 * rest == denominator and amount & 1))


def _quantities(level: Level, usage: Usage, units: Mapping[str, int]) -> dict[str, int]:
    found = {name: getattr(usage, attribute) for name, attribute in _ATTRIBUTES.items()}
    if "requests" in level.prices:
        found["requests"] = 1
    for name, quantity in units.items():
        if name not in METERS:
            raise UsageError(f"there is no meter called {name}")
        if quantity < 0:
            raise UsageError(f"{name} is negative: {quantity}")
        found[name] = quantity
    return found


_ATTRIBUTES = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "input_audio": "input_audio_tokens",
    "cache_read_audio": "cache_read_audio_tokens",
    "output_audio": "output_audio_tokens",
    "input_image": "input_image_tokens",
    "cache_read_image": "cache_read_image_tokens",
    "output_image": "output_image_tokens",
    "citation": "citation_tokens",
}
_ORDER = {name: at for at, name in enumerate(METERS)}

_SUMS = (
    ("input_tokens", ("cache_read_tokens", "cache_write_tokens")),
    ("input_tokens", ("input_audio_tokens", "input_image_tokens")),
    ("cache_read_tokens", ("cache_read_audio_tokens", "cache_read_image_tokens")),
    ("cache_write_tokens", ("cache_write_1h_tokens",)),
    ("input_audio_tokens", ("cache_read_audio_tokens",)),
    ("input_image_tokens", ("cache_read_image_tokens",)),
    ("output_tokens", ("reasoning_tokens", "citation_tokens")),
    ("output_tokens", ("output_audio_tokens", "output_image_tokens")),
)


def _check(usage: Usage) -> None:
    """Parts that exclude each other may not add up to more than their whole, whether they have a price or not."""
    for name in _ATTRIBUTES.values():
        if getattr(usage, name) < 0:
            raise UsageError(f"{name} is negative: {getattr(usage, name)}")
    for whole, members in _SUMS:
        total = sum(getattr(usage, name) for name in members)
        if total > getattr(usage, whole):
            named = " + ".join(members)
            raise UsageError(f"{named} ({total}) exceeds {whole} ({getattr(usage, whole)})")


def ceiling(
    rates: Rates,
    input_tokens: int,
    max_output_tokens: int,
    *,
    without: Collection[str] = frozenset(),
    units: Mapping[str, int] | None = None,
) -> int:
    """Nano-dollars that a call cannot exceed, to be held before it is made.

    Each token counts at the dearest price that one of its direction can have, at any level that so many input tokens
    can reach; `without` names meters that the request rules out (`meters.MEDIA` for text, `{"cache_write_1h"}` where
    no such write is asked for), which brings the bound closer. `units` bounds what is not tokens; what it leaves out
    is not held. Whatever has no price counts nothing: see `Cost.unpriced`.
    """
    levels = rates.levels
    if len(levels) == 1:
        return _bound(levels[0], input_tokens, max_output_tokens, without, units or {})
    reachable = [level for level in levels if level.above < max(input_tokens, 0)] or [levels[-1]]
    return max(_bound(level, input_tokens, max_output_tokens, without, units or {}) for level in reachable)


def _dearest_tokens(level: Level, without: Collection[str]) -> tuple[int, int]:
    """The dearest rate of tokens in and out, but for the meters `without`."""
    key = (id(level), id(without))
    known = _dear.get(key)
    if known is not None and known[0] is level and known[1] is without:
        return known[2], known[3]
    dear_in = dear_out = 0
    for name, rate in level.prices.items():
        if name in TOKENS and name not in without:
            if name in _INPUT:
                dear_in = max(dear_in, rate)
            else:
                dear_out = max(dear_out, rate)
    if len(_dear) >= _REMEMBERED:
        _dear.clear()
    _dear[key] = (level, without, dear_in, dear_out)
    return dear_in, dear_out


_REMEMBERED = 1_000
_dear: dict[tuple[int, int], tuple[Level, Collection[str], int, int]] = {}


def _bound(level: Level, given: int, made: int, without: Collection[str], units: Mapping[str, int]) -> int:
    dear_in, dear_out = _dearest_tokens(level, without)
    amount = -(-(given * dear_in) // MILLION) - (-(made * dear_out) // MILLION)
    if not units and level.plain:
        return amount + len(level.charges)
    for name, quantity in {"requests": 1, **units}.items():
        amount += -(-quantity * _dearest(level, name) // METERS[name].per)
    return amount + len(level.charges)  # each meter may be rounded up by half a nano-dollar


def _dearest(level: Level, name: str) -> int:
    """The highest rate among the meter and what it is a part of."""
    own = METERS[name]
    return max((rate for other, rate in level.prices.items() if METERS[other].includes(own)), default=0)
