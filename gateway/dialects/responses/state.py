"""Conversations that go on from a response that was kept: what was said before, merged into a request, without IO.

Source: https://platform.openai.com/docs/guides/conversation-state. Each response is kept with the items that its own
request brought and those that it answered with. A request that names it as `previous_response_id` means all of its
chain, oldest first, then its own input. `instructions` are not carried on. An `item_reference` means the item of that
id, of the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from gateway.dialects.responses import wire
from gateway.errors import InvalidRequest

MAX_LISTED = 100
"""Items of one page of a listing."""

Item = Mapping[str, Any]


class Stored(msgspec.Struct, frozen=True):
    """A response as it is kept: its id, that of the one before it, and its items, every one with an id.

    `input` are the items of its own request (`input_items`), `output` those of the answer.
    """

    id: str
    input: tuple[Item, ...]
    output: tuple[Item, ...]
    previous: str = ""


def input_items(parsed: Mapping[str, Any], response_id: str, chain: Sequence[Stored] = ()) -> tuple[Item, ...]:
    """The items of a request's own input, each whole and with an id, as they are kept and listed.

    Ids that must be made are derived from the id of the response. References are to items of `chain`. Raises
    `InvalidRequest`.
    """
    known = _known(chain)
    return tuple(_whole(_resolved(item, known, at), response_id, at) for at, item in enumerate(_own(parsed)))


def _own(parsed: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = wire.convert(parsed, wire.Request).input
    return [{"role": "user", "content": given}] if isinstance(given, str) else given or []


def _known(chain: Sequence[Stored]) -> dict[str, Item]:
    """The items of a chain by their ids."""
    return {item["id"]: item for stored in chain for item in (*stored.input, *stored.output) if item.get("id")}


def _whole(item: Item, response_id: str, at: int) -> Item:
    kind = item.get("type") or "message"
    made = blake2b(f"{response_id}/input/{at}".encode(), digest_size=24).hexdigest()
    found: dict[str, Any] = {"id": f"{_PREFIXES.get(kind, 'item')}_{made}", "status": "completed"}
    found |= {name: value for name, value in item.items() if value is not None}
    found["type"] = kind
    if kind in _WITHOUT_STATUS and "status" not in item:
        del found["status"]
    if kind == "message" and isinstance(found.get("content"), str):
        found["content"] = [_text(found["content"], found.get("role"))]
    return found


_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_WITHOUT_STATUS = ("reasoning", "compaction", "mcp_approval_response")


def _text(text: str, role: Any) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def merged(chain: Sequence[Stored], parsed: Mapping[str, Any]) -> dict[str, Any]:
    """The request with all that was said before in its `input`, and without `previous_response_id`.

    `chain` are the responses that it goes on from, oldest first. Items of its own input that refer to one of theirs are
    replaced by it. Raises `InvalidRequest` where that is not among them.
    """
    known = _known(chain)
    request = {name: value for name, value in parsed.items() if name != "previous_response_id"}
    request["input"] = [
        *(item for stored in chain for item in (*stored.input, *stored.output)),
        *(_resolved(item, known, at) for at, item in enumerate(_own(parsed))),
    ]
    return request


def _resolved(item: Item, known: Mapping[str, Item], at: int) -> Item:
    """`item`, or the one that it refers to."""
    if (item.get("type") or ("message" if "role" in item else "item_reference")) != "item_reference":
        return item
    found = known.get(str(item.get("id")))
    if found is None:
        raise InvalidRequest(
            f"Item with id '{item.get('id')}' not found.", code="item_not_found", param=f"input[{at}].id"
        )
    return found


def listing(
    items: Iterable[Item], *, after: str | None = None, limit: int = 20, order: Literal["asc", "desc"] = "desc"
) -> dict[str, Any]:
    """One page of `GET /v1/responses/{id}/input_items`: `limit` items after the one with the id `after`.

    `items` are those of a response, oldest first. Raises `InvalidRequest`.
    """
    if not 1 <= limit <= MAX_LISTED:
        raise InvalidRequest(f"`limit` must be from 1 to {MAX_LISTED}.", code="invalid_value", param="limit")
    if order not in ("asc", "desc"):
        raise InvalidRequest("`order` must be `asc` or `desc`.", code="invalid_value", param="order")
    listed = list(items)
    if order == "desc":
        listed.reverse()
    if after is not None:
        places = [at for at, item in enumerate(listed) if item.get("id") == after]
        if not places:
            raise InvalidRequest("`after` must be the id of an item.", code="invalid_value", param="after")
        listed = listed[places[0] + 1 :]
    page = listed[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else "",
        "last_id": page[-1]["id"] if page else "",
        "has_more": len(listed) > limit,
    }
