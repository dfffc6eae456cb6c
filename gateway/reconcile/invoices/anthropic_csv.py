"""The cost export of Anthropic's console, a CSV with one line for each day, model, workspace, key and kind of token.

    usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,...

Models have their names for people (`Claude Haiku 4.5`), `token_type` is `input_no_cache`, `input_cache_read`,
`input_cache_write_5m`, `input_cache_write_1h` or `output`, `usage_type` is `message` or `batch`, `context_window` is
`≤ 200k` or above it, and `cost_usd` is rounded to cents. There are no quantities.

Source: https://support.claude.com/en/articles/9534590-cost-and-usage-reporting-in-the-claude-console; columns as seen
in public readers of the file, November 2026.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final, TextIO

from gateway.pricing.catalogue import tier_of
from gateway.reconcile.amounts import usd
from gateway.reconcile.model import Fault, Item
from gateway.reconcile.words import is_credit, meter_of

_NEEDED: Final = ("usage_date_utc", "model", "token_type", "cost_usd")
_EPOCH: Final = date(1970, 1, 1).toordinal()
_SHORT: Final = ("", "≤ 200k", "<= 200k", "0-200k")


def fits(head: str) -> bool:
    """Whether the file looks like it."""
    first = head.partition("\n")[0]
    return all(name in first for name in _NEEDED)


def read(file: TextIO, columns: Mapping[str, str]) -> Iterator[Item | Fault]:
    """The lines."""
    rows = csv.DictReader(file)
    missing = [name for name in _NEEDED if name not in (rows.fieldnames or ())]
    if missing:
        yield Fault(1, f"there is no column {', '.join(missing)}")
        return
    while True:
        try:
            row = next(rows)
            yield _item(rows.line_num, row)
        except StopIteration:
            return
        except (ValueError, TypeError, AttributeError, csv.Error) as error:
            yield Fault(rows.line_num, str(error))


def _item(line: int, row: Mapping[str, str]) -> Item:
    day = date.fromisoformat(row["usage_date_utc"].strip()[:10]).toordinal() - _EPOCH
    nano, slack = usd(row["cost_usd"])
    kind = row["token_type"].strip() or (row.get("cost_type") or "").strip()
    usage = (row.get("usage_type") or "").strip().lower()
    if nano < 0 or is_credit(kind):
        return Item(line=line, day=day, nano=nano, slack=slack, credit=True, text=kind or "credit")
    return Item(
        line=line,
        day=day,
        model=row["model"].strip(),
        meter=meter_of(kind),
        tier=tier_of("" if usage in ("message", "messages", "api") else usage),
        long=(row.get("context_window") or "").strip() not in _SHORT,
        nano=nano,
        slack=slack,
        text=kind,
    )
