"""The formats: lines as providers write them, faults with their line, and no good line lost to a bad one."""

from __future__ import annotations

import json
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.reconcile.invoices import FORMATS, Names, anthropic_costs, anthropic_csv, generic_csv, openai_costs, opened
from gateway.reconcile.model import Fault, Item
from tests.reconcile.world import OCT_1

DAY_S = OCT_1 * 86400
NANO = 1_000_000_000


def bucket(*results: dict[str, object], day: int = 0) -> dict[str, object]:
    start = DAY_S + 86400 * day
    return {"object": "bucket", "start_time": start, "end_time": start + 86400, "results": list(results)}


def cost(value: object, item: str | None, **more: object) -> dict[str, object]:
    amount = {"value": value, "currency": "usd"}
    return {"object": "organization.costs.result", "amount": amount, "line_item": item, "project_id": None, **more}


def page(*buckets: dict[str, object]) -> str:
    return json.dumps({"object": "page", "data": list(buckets), "has_more": False, "next_page": None})


def items(text: str) -> list[Item | Fault]:
    return list(openai_costs.read(StringIO(text), {}))


@pytest.mark.parametrize(
    ("line_item", "model", "meter", "tier", "long"),
    [
        ("gpt-5-mini-2026-08-07, input", "gpt-5-mini-2026-08-07", "input", "standard", False),
        ("gpt-5-mini-2026-08-07, cached input", "gpt-5-mini-2026-08-07", "cache_read", "standard", False),
        ("gpt-5.6-sol, cache writes", "gpt-5.6-sol", "cache_write", "standard", False),
        ("gpt-5.6-sol, output", "gpt-5.6-sol", "output", "standard", False),
        ("priority | gpt-5.6-sol, output, long context", "gpt-5.6-sol", "output", "priority", True),
        ("batch | gpt-5.6-sol, input", "gpt-5.6-sol", "input", "batch", False),
        ("gpt-audio-mini-2025-12-15 audio, input", "gpt-audio-mini-2025-12-15", "input_audio", "standard", False),
        ("gpt-image-2 text, cached input", "gpt-image-2", "cache_read", "standard", False),
        ("web search tool calls", "", "web_searches", "", False),
        ("something new", "", "something new", "", False),
        (None, "", "", "", False),
    ],
)
def test_what_openai_says_of_a_line(line_item: str | None, model: str, meter: str, tier: str, long: bool) -> None:
    (found,) = items(page(bucket(cost(0.06, line_item, quantity=1200))))
    assert isinstance(found, Item)
    assert (found.model, found.meter, found.tier, found.long) == (model, meter, tier, long)
    assert found.day == OCT_1 and found.nano == 60_000_000 and found.quantity == 1200


def test_an_amount_is_what_is_written_and_no_float() -> None:
    """0.1 + 0.2 of somebody else's, and more digits than a float has."""
    (one, two) = items(
        page(bucket(cost(0, "a, input"), cost(0, "a, output"))).replace(
            '"value": 0', '"value": 0.12345678901234567890', 1
        )
    )
    assert isinstance(one, Item) and isinstance(two, Item)
    assert one.nano == Fraction("123456789.01234567890")
    assert two.nano == 0 and two.quantity is None


@pytest.mark.parametrize(
    "text",
    [
        page(bucket(cost(1, "a, input")), bucket(cost(2, "a, input"), day=1)),
        page(bucket(cost(1, "a, input"))) + "\n" + page(bucket(cost(2, "a, input"), day=1)),
        "[" + page(bucket(cost(1, "a, input"))) + ",\n" + page(bucket(cost(2, "a, input"), day=1)) + "]",
        json.dumps([bucket(cost(1, "a, input")), bucket(cost(2, "a, input"), day=1)], indent=2),
    ],
    ids=["one page", "pages after one another", "a list of pages", "a list of buckets"],
)
def test_pages_are_read_however_they_were_saved(text: str) -> None:
    found = [item for item in items(text) if isinstance(item, Item)]
    assert [item.day - OCT_1 for item in found] == [0, 1]
    assert [int(item.nano) for item in found] == [NANO, 2 * NANO]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (cost(1, "a, input") | {"amount": {"value": 1, "currency": "eur"}}, "the currency is eur"),
        (cost("1e999999", "a, input"), "no amount that can be true"),
        (cost("many", "a, input"), "is no number"),
        (cost(1, "a, input") | {"amount": {}}, "`currency` is missing"),
        ({}, "`amount` is missing"),
    ],
)
def test_a_bad_result_is_a_fault_and_the_others_count(bad: dict[str, object], says: str) -> None:
    first, second, third = items(page(bucket(cost(1, "a, input"), bad, cost(3, "a, output"))))
    assert isinstance(first, Item) and isinstance(third, Item) and third.nano == 3 * NANO
    assert isinstance(second, Fault) and says in second.message and "results[1]" in second.message


def test_a_bucket_that_is_no_day_is_a_fault_with_its_line() -> None:
    text = json.dumps({"data": [bucket(cost(1, "a, input")), bucket() | {"end_time": DAY_S + 3600}]}, indent=1)
    _, found = items(text)
    assert isinstance(found, Fault) and "not one day" in found.message
    assert text.splitlines()[found.line - 1].strip() == "{"


@pytest.mark.parametrize("text", ["{", '{"data": [', "nonsense", '{"data": [{"start_time": 1}, ', "[" * 100_000])
def test_what_is_no_json_ends_with_a_fault(text: str) -> None:
    assert isinstance(items(text)[-1], Fault)


def test_a_large_page_is_read_in_pieces() -> None:
    text = page(*[bucket(*[cost(1, f"model-{at}, input") for at in range(400)], day=day) for day in range(31)])
    assert len(text) > 20 * 65_536
    assert sum(item.nano for item in items(text) if isinstance(item, Item)) == 31 * 400 * NANO


def test_a_refund_is_no_usage() -> None:
    (found,) = items(page(bucket(cost(-1.5, "gpt-5, input"))))
    assert isinstance(found, Item) and found.credit and found.nano == -1_500_000_000


def test_anthropics_report_is_in_cents() -> None:
    result = {
        "amount": "123.45", "currency": "USD", "model": "claude-haiku-4-5-20251001", "service_tier": "batch",
        "token_type": "cache_creation.ephemeral_1h_input_tokens", "context_window": "200k-1M", "cost_type": "tokens",
        "description": "Claude Haiku 4.5 Usage",
    }  # fmt: skip
    text = json.dumps(
        {"data": [{"starting_at": "2026-10-01T00:00:00Z", "ending_at": "2026-10-02T00:00:00Z", "results": [result]}]}
    )
    (found,) = anthropic_costs.read(StringIO(text), {})
    assert isinstance(found, Item)
    assert found.nano == 1_234_500_000
    assert (found.meter, found.tier, found.long) == ("cache_write_1h", "batch", True)
    assert found.slack == Fraction(NANO, 2 * 10**4)


HEADER = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,"
    "inference_geo,speed"
)


def test_the_consoles_export_has_names_for_people_and_cents() -> None:
    text = f"""{HEADER}
2026-10-04,Claude Haiku 4.5,Default,k,message,≤ 200k,input_no_cache,0.05,0.05,token,global,
2026-10-04,Claude Haiku 4.5,Default,k,batch,> 200k,input_cache_write_5m,1.20,2.40,token,global,
2026-10-04,Claude Haiku 4.5,Default,k,message,≤ 200k,output,a lot,0.05,token,global,
2026-10-04,,Default,k,message,,,0.01,0.01,web_search,global,
"""
    one, two, three, four = anthropic_csv.read(StringIO(text), {})
    assert isinstance(one, Item) and isinstance(two, Item) and isinstance(four, Item)
    assert (one.model, one.meter) == ("Claude Haiku 4.5", "input")
    assert one.nano == 50_000_000 and one.slack == 5_000_000
    assert (two.meter, two.tier, two.long) == ("cache_write", "batch", True)
    assert three == Fault(4, "`a lot` is no number")
    assert four.meter == "web_searches"


def test_a_generic_csv_has_its_columns_by_a_map() -> None:
    text = 'When,Cost $,SKU,What,Units\n2026-10-02,"1,234.50",gpt-5,prompt tokens,"2,000"\n02.10.2026,1,gpt-5,input,1\n'
    columns = {"date": "When", "amount": "Cost $", "model": "SKU", "meter": "What", "quantity": "Units"}
    one, two = generic_csv.read(StringIO(text), columns)
    assert isinstance(one, Item)
    assert (one.day - OCT_1, one.model, one.meter) == (1, "gpt-5", "input")
    assert one.nano == 1_234_500_000_000 and one.quantity == 2_000
    assert two == Fault(3, "`02.10.2026` is no date; write 2026-10-05")


def test_a_column_that_is_missing_is_named() -> None:
    (found,) = generic_csv.read(StringIO("date,price\n"), {})
    assert found == Fault(1, "there is no column `amount`; the columns are date, price")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (page(bucket(cost(1, None))), "openai-costs"),
        ('{"data": [{"starting_at": "2026-10-01T00:00:00Z", "results": []}]}', "anthropic-costs"),
        (HEADER + "\n", "anthropic-csv"),
        ("\ufeffdate,amount\n", "csv"),
    ],
)
def test_a_format_is_told_by_the_files_beginning(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "invoice"
    path.write_text(text, encoding="utf-8")
    with opened(path, "auto", Names()) as found:
        assert found.format.name == name
        assert not [item for item in found if isinstance(item, Fault)]
        assert len(found.digest) == 64


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"none\.csv: No such file"), opened(tmp_path / "none.csv", "auto", Names()):
        pass


def test_formats_have_names_of_their_own() -> None:
    assert len({one.name for one in FORMATS}) == len(FORMATS)
