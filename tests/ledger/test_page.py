"""The page about the ledger is true: its queries run, its tables are complete."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.ledger import Ledger
from gateway.ledger.schema import endings, reservations
from tests.ledger.records import micros, reservation, settlement

PAGE = (Path(__file__).parents[2] / "docs/ledger.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)

ANSWERS = [
    [(1, "first", "openai", "settled", 1200, 340, 0.0007736), (2, "retry", "openai", "unknown", 0, 0, None)],
    [("search", 2, 0.0007736, 0.005, 0)],
    [("open", "openai", 0)],
    [("req_1", 2, "openai", 0.005)],
    [(773_600, 773_600)],
]


@pytest.mark.parametrize(("query", "answer"), list(zip(QUERIES, ANSWERS, strict=True)))
async def test_a_query_of_the_page_gives_what_it_says(ledger: Ledger, path: Path, query: str, answer: object) -> None:
    first = ledger.reserve(reservation())
    second = ledger.reserve(reservation(attempt=2, kind="retry"))
    await second
    second.sent(micros())
    first.settle(settlement())
    second.settle(settlement(state="unknown", cost_nano=None, source=None, input_tokens=0, output_tokens=0, lines=b""))
    await ledger.reserve(reservation("open", began_at=micros()))
    await ledger.close()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert connection.execute(query).fetchall() == answer


def test_every_column_of_history_is_explained() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    columns = {column.name for table in (reservations, endings) for column in table.columns}
    assert columns - explained == set()
