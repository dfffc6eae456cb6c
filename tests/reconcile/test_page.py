"""docs/reconcile.md names every kind of difference in its order, every format, and examples that hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gateway.reconcile.invoices import FORMATS
from gateway.reconcile.invoices.generic_csv import COLUMNS
from gateway.reconcile.kinds import TITLES
from tests.reconcile.test_cli_reconcile import run
from tests.reconcile.world import call, ledger

PAGE = (Path(__file__).parents[2] / "docs/reconcile.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```\n", PAGE, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def same(printed: str, shown: str) -> bool:
    """But for the width of columns."""
    return printed.split() == shown.split()


def test_the_kinds_are_listed_in_the_order_in_which_they_are_looked_for() -> None:
    section = PAGE.partition("## The kinds of difference")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(TITLES)


def test_every_format_and_column_is_named() -> None:
    assert [name for name in (*(one.name for one in FORMATS), *COLUMNS) if f"`{name}`" not in PAGE] == []


def test_the_example_is_what_the_verbs_print(tmp_path: Path) -> None:
    path = ledger(
        tmp_path / "ledger.db",
        [
            call("req_41", 2, input=1_000_000, output=5_000),
            call("req_42", 2, input=12_000),
            call("req_43", 2, cache_read=205_000, output=4_000),
            call("req_44", 3, state="estimated", output=3_100),
        ],
    )
    invoice = tmp_path / "costs.json"
    (text,) = blocks("json")
    invoice.write_text(text)
    assert json.loads(text)["object"] == "page"
    words = ("reconcile", "--provider", "openai", "--invoice", str(invoice), "--month", "2026-10")
    shown, closed, listed = blocks("")
    assert same(run(path, *words).stdout, shown)
    assert same(run(path, "close-month", "2026-10").stdout, closed)
    assert run(path, *words, "--book").exit_code == 0
    assert same(run(path, "close-month", "--list").stdout, listed)
