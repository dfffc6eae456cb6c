"""Anthropic's cost report: `GET /v1/organizations/cost_report`, grouped by `description` so that it names models.

A bucket is one day (UTC) `{"starting_at", "ending_at", "results": [...]}` in RFC 3339, a result `{"amount": "123.45",
"currency": "USD", "model", "token_type", "service_tier", "context_window", "cost_type", "description"}`. `amount` is a
decimal string in cents: "123.45" is $1.2345. There are no quantities, and no costs of the priority tier.

Source: https://platform.claude.com/docs/en/api/admin/cost_report, read in November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from gateway.pricing.catalogue import tier_of
from gateway.reconcile.amounts import usd
from gateway.reconcile.invoices.jsonpages import elements
from gateway.reconcile.model import Fault, Item
from gateway.reconcile.words import is_credit, meter_of

IN_CENTS: Final = 2
_SHORT: Final = "0-200k"


def fits(head: str) -> bool:
    """Whether the file looks like it."""
    return '"starting_at"' in head and '"results"' in head


def read(file: TextIO, columns: Mapping[str, str]) -> Iterator[Item | Fault]:
    """The lines; a fault has the line on which its bucket begins."""
    for found in elements(file):
        if isinstance(found, Fault):
            yield found
            continue
        line, bucket = found
        try:
            day = _day(bucket["starting_at"])
            results = bucket["results"]
            if not isinstance(results, list):
                raise ValueError("`results` is no list")
        except (KeyError, TypeError, ValueError) as error:
            yield Fault(line, f"no bucket of costs: {_said(error)}")
            continue
        for place, result in enumerate(results):
            try:
                yield _item(line, day, result)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                yield Fault(line, f"results[{place}]: {_said(error)}")


def _day(text: str) -> int:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or at.astimezone(UTC).strftime("%H%M%S%f") != "000000000000":
        raise ValueError(f"`{text}` is not the beginning of a day (UTC)")
    return int(at.timestamp()) // 86400


def _item(line: int, day: int, result: Mapping[str, Any]) -> Item:
    if result.get("currency", "USD") != "USD":
        raise ValueError(f"the currency is {result['currency']!s}, not USD")
    nano, slack = usd(str(result["amount"]), IN_CENTS)
    text = str(result.get("description") or "")
    kind = str(result.get("token_type") or result.get("cost_type") or "")
    if nano < 0 or is_credit(text):
        return Item(line=line, day=day, nano=nano, slack=slack, credit=True, text=text or "credit")
    return Item(
        line=line,
        day=day,
        model=str(result.get("model") or ""),
        meter="" if kind in ("", "tokens") else meter_of(kind),
        tier=tier_of(result.get("service_tier")),
        long=result.get("context_window") not in (None, "", _SHORT),
        nano=nano,
        slack=slack,
        text=text,
    )


def _said(error: Exception) -> str:
    return f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
