"""OpenAI's costs: `GET /v1/organization/costs`, one page or many, best grouped by `line_item`.

A page is `{"object": "page", "data": [bucket...], "has_more", "next_page"}`, a bucket one day (UTC) `{"start_time",
"end_time", "results": [...]}` in Unix seconds, a result `{"amount": {"value": 0.06, "currency": "usd"}, "line_item",
"project_id", "quantity"}`; `value` is a JSON number of dollars, and `quantity` may be missing or null.

`line_item` is text for people, and the only place that names the model: `gpt-5-mini-2026-08-07, input`, `..., cached
input`, `..., cache writes`, `..., output`, `gpt-audio-mini-2025-12-15 audio, input`, `priority | gpt-5.6, output, long
context`, `web search tool calls`. Not documented; so a line that has another form is compared as what it says.

Source: https://platform.openai.com/docs/api-reference/usage/costs; forms of `line_item` as seen in public clients of
the endpoint, November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TextIO

from gateway.pricing.catalogue import tier_of
from gateway.reconcile.amounts import number, usd
from gateway.reconcile.invoices.jsonpages import elements
from gateway.reconcile.model import Fault, Item
from gateway.reconcile.words import is_credit, meter_of

_DAY_S: Final = 86400
_LINE: Final = re.compile(
    r"(?:(?P<tier>[a-z]+) \| )?(?P<model>[^\s,|]+)(?: (?P<modality>text|audio|image))?, (?P<meter>[a-z][a-z ]*?)"
    r"(?P<long>, long context)?(?:, (?P<tail>batch|flex|priority))?",
    re.IGNORECASE,
)


def fits(head: str) -> bool:
    """Whether the file looks like it."""
    return '"organization.costs.result"' in head or ('"start_time"' in head and '"bucket"' in head)


def read(file: TextIO, columns: Mapping[str, str]) -> Iterator[Item | Fault]:
    """The lines; a fault has the line on which its bucket begins."""
    for found in elements(file):
        if isinstance(found, Fault):
            yield found
            continue
        line, bucket = found
        try:
            day, rest = divmod(int(bucket["start_time"]), _DAY_S)
            results = bucket["results"]
            if rest or int(bucket["end_time"]) - int(bucket["start_time"]) != _DAY_S:
                raise ValueError("a bucket that is not one day (UTC); ask for bucket_width=1d")
            if not isinstance(results, list):
                raise ValueError("`results` is no list")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            yield Fault(line, f"no bucket of costs: {_said(error)}")
            continue
        for place, result in enumerate(results):
            try:
                yield _item(line, day, result)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                yield Fault(line, f"results[{place}]: {_said(error)}")


def _item(line: int, day: int, result: Mapping[str, Any]) -> Item:
    amount = result["amount"]
    if str(amount["currency"]).lower() != "usd":
        raise ValueError(f"the currency is {amount['currency']!s}, not usd")
    nano, slack = usd(amount["value"])
    text = str(result.get("line_item") or "")
    given = result.get("quantity")
    quantity = None if given is None else number(given)
    if nano < 0 or is_credit(text):
        return Item(line=line, day=day, nano=nano, slack=slack, credit=True, text=text or "credit")
    found = _LINE.fullmatch(text)
    if found is None:
        meter = meter_of(text) if text else ""
        return Item(line=line, day=day, meter=meter, quantity=quantity, nano=nano, slack=slack, text=text)
    modality = found["modality"] if found["modality"] not in (None, "text") else ""
    return Item(
        line=line,
        day=day,
        model=found["model"],
        meter=meter_of(f"{modality} {found['meter']}".strip()),
        tier=tier_of(found["tier"] or found["tail"]),
        long=found["long"] is not None,
        quantity=quantity,
        nano=nano,
        slack=slack,
        text=text,
    )


def _said(error: Exception) -> str:
    return f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
