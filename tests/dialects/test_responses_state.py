"""Conversations that go on from a response that was kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.dialects.base import Head
from gateway.dialects.responses import DIALECT
from gateway.dialects.responses.state import Stored, input_items, listing, merged
from gateway.errors import InvalidRequest
from gateway.model.conversation import Message, Text, ToolCall, ToolResult
from gateway.model.events import Event, Stop, TextDelta, ToolDelta
from tests.dialects.published import Check
from tests.dialects.published_responses import responses_check

FIRST = {"model": "m", "input": "Weather in Ulm?", "instructions": "Be kind."}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}


@pytest.fixture(scope="module")
def check(data_set: Callable[[str], Path]) -> Check:
    return responses_check(data_set("specs/openai.yaml.gz"))


def stored(id_: str, request: dict[str, Any], *events: Event, chain: tuple[Stored, ...] = ()) -> Stored:
    answer = orjson.loads(DIALECT.unary(Head(id_, "m", 1), [*events, Stop("stop")]))
    own = input_items(request, answer["id"], chain)
    return Stored(answer["id"], own, tuple(answer["output"]), chain[-1].id if chain else "")


ONE = stored("1", FIRST, ToolDelta(0, "{}", "weather", "c1"))
TWO = stored("2", {"input": [RESULT]}, TextDelta("Sunny."), chain=(ONE,))


def test_a_chain_and_what_is_new_are_one_input(check: Check) -> None:
    request = merged([ONE, TWO], {"model": "m", "input": "And now?", "previous_response_id": TWO.id, "top_p": 0.5})
    check("CreateResponse", request)
    asked = DIALECT.read(request, "m", stream=False)
    assert asked.messages == (
        Message("user", (Text("Weather in Ulm?"),)),
        Message("assistant", (ToolCall("c1", "weather", "{}"),)),
        Message("tool", (ToolResult("c1", (Text("sunny"),)),)),
        Message("assistant", (Text("Sunny."),)),
        Message("user", (Text("And now?"),)),
    )
    assert asked.rest == {} and asked.top_p == 0.5


def test_without_anything_new_the_chain_is_the_input() -> None:
    assert merged([ONE], {"previous_response_id": ONE.id})["input"] == [*ONE.input, *ONE.output]


def test_a_reference_means_the_item_of_that_id() -> None:
    id_ = TWO.output[0]["id"]
    for reference in ({"type": "item_reference", "id": id_}, {"id": id_}):
        assert merged([TWO], {"input": [reference]})["input"][-1] == TWO.output[0]
        assert input_items({"input": [reference]}, "resp_3", [TWO]) == (TWO.output[0],)
    for unknown in ({"id": "msg_0"}, {"type": "item_reference"}, {}):
        with pytest.raises(InvalidRequest) as raised:
            merged([ONE], {"input": [{"role": "user", "content": ""}, unknown]})
        assert raised.value.param == "input[1].id"


ITEMS = [
    {"role": "user", "content": "a"},
    {"role": "developer", "content": [{"type": "input_text", "text": "b"}]},
    {"role": "assistant", "content": "c"},
    {"type": "message", "id": "msg_7", "role": "assistant", "status": "completed", "content": []},
    {"type": "function_call", "id": None, "call_id": "c1", "name": "f", "arguments": "{}"},
    RESULT,
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAx"},
    {"type": "custom_tool_call", "call_id": "c2", "name": "f", "input": "1"},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": "1"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
]


def test_kept_items_are_as_published_and_mean_the_same(check: Check) -> None:
    kept = input_items({"input": ITEMS}, "resp_1")
    for item in kept:
        check("ItemResource", item)
    assert len({item["id"] for item in kept}) == len(ITEMS) and kept[3] == ITEMS[3]
    before, after = (DIALECT.read({"input": list(found)}, "m", stream=False) for found in (ITEMS, kept))
    assert [message.parts[:2] for message in before.messages[:2]] == [
        message.parts[:2] for message in after.messages[:2]
    ]
    assert kept == input_items({"input": ITEMS}, "resp_1") != input_items({"input": ITEMS}, "resp_2")


def test_a_listing_is_as_published(check: Check) -> None:
    kept = input_items({"input": ITEMS}, "resp_1")
    ids = [item["id"] for item in kept]
    for order, expected in (("desc", ids[::-1]), ("asc", ids)):
        seen: list[str] = []
        page: dict[str, Any] = {"has_more": True}
        while page["has_more"]:
            page = listing(kept, after=seen[-1] if seen else None, limit=4, order=order)  # type: ignore[arg-type]
            check("ResponseItemList", page)
            found = [item["id"] for item in page["data"]]
            assert (page["first_id"], page["last_id"]) == (found[0], found[-1])
            seen += found
        assert seen == expected
    check("ResponseItemList", listing(()))


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 101}, {"order": "up"}, {"after": "msg_x"}])
def test_a_wrong_page_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as raised:
        listing(ONE.input, **wrong)
    assert raised.value.param in wrong
