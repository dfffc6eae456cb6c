"""Edits of JSON in its bytes: what is meant changes, and not one byte besides."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import jsonedit
from gateway.errors import InvalidRequest

KEYS = st.sampled_from(["model", "stream", "messages", 'mo"del', "é", "", "\\", "stream_options", "a\nb", "{"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from(['"model"', '\\"', "model"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)
STYLES = st.sampled_from(
    [{"indent": 2}, {"separators": (",", ":")}, {"separators": (" , ", "\t: \r\n")}, {"ensure_ascii": False}]
)


def edit(body: bytes, replace: dict[str, bytes], remove: tuple[str, ...] = ()) -> bytes:
    plain = jsonedit.is_plain(body, replace)
    return jsonedit.edit(body, orjson.loads(body), replace, remove, plain=plain)


@given(OBJECTS, STYLES, st.sampled_from(["model", "stream", "new"]), VALUES)
def test_an_edit_in_bytes_is_the_edit_that_is_meant(found: dict[str, Any], style: Any, name: str, value: Any) -> None:
    body = json.dumps(found, **style).encode()
    edited = edit(body, {name: json.dumps(value).encode()})
    assert json.loads(edited) == {**found, name: value}


@given(OBJECTS, STYLES, KEYS)
def test_a_member_is_taken_out(found: dict[str, Any], style: Any, name: str) -> None:
    body = json.dumps(found, **style).encode()
    assert json.loads(edit(body, {}, (name,))) == {key: value for key, value in found.items() if key != name}


@given(OBJECTS, STYLES)
def test_what_is_not_edited_keeps_its_bytes(found: dict[str, Any], style: Any) -> None:
    found = {**found, "model": "MODEL-7"}
    body = json.dumps(found, **style).encode()
    before, _, after = body.rpartition(b'"MODEL-7"')
    assert edit(body, {"model": b'"x"'}) == before + b'"x"' + after


@given(OBJECTS, STYLES)
def test_members_are_where_they_are_said_to_be(found: dict[str, Any], style: Any) -> None:
    body = json.dumps(found, **style).encode()
    read = {member.key: json.loads(body[member.value : member.end]) for member in jsonedit.members(body)}
    assert read == found


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b"{}", b'{"model":"x"}'),
        (b" { } ", b' {"model":"x" } '),
        (b'{"a":1}', b'{"model":"x","a":1}'),
        (b'{"model" : null }', b'{"model" : "x" }'),
        (b'{"model":[1,{"model":2}],"b":1.0}', b'{"model":"x","b":1.0}'),
        (b'{"a":"\\"model\\":1","model":"y"}', b'{"a":"\\"model\\":1","model":"x"}'),
        (b'{"m\\u006fdel":"y","a":"model"}', b'{"m\\u006fdel":"x","a":"model"}'),
        (b'{"a":"\\u00e9","model":"y"}', b'{"a":"\\u00e9","model":"x"}'),
        (b'{"a":"model","model":"\\"}"}', b'{"a":"model","model":"x"}'),
        (b'{"model":"a\\\\","b":"\\\\"}', b'{"model":"x","b":"\\\\"}'),
    ],
)
def test_a_member_is_replaced_or_put_in_front(body: bytes, edited: bytes) -> None:
    assert edit(body, {"model": b'"x"'}) == edited


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":1,"model":1}',
        b'{"model":1,"a":{"b":[]},"\\u006dodel":2}',
        b'{"\\u006Dodel":1,"mode\\u006c":2}',
        b'{"a":{"model":1},"model":1,"b":"model","model":2}',
    ],
)
def test_a_member_that_stands_twice_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        jsonedit.check_unique(body, ("model",))
    assert (caught.value.code, caught.value.param) == ("duplicate_field", "model")


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b'{"model":1}', True),
        (b'{"model":1,"a":"\\u00e9\\u0009\\ud83d"}', True),
        (b'{"model":1,"a":"\\u0061"}', False),
        (b'{"model":1,"a":{"model":1}}', False),
        (b'{"a":"model","a":"model"}', False),
    ],
)
def test_a_body_is_read_through_only_where_it_has_to_be(body: bytes, plain: bool) -> None:
    assert jsonedit.is_plain(body, ("model",)) is plain
    jsonedit.check_unique(body, ("model",))


def test_a_body_of_too_many_parts_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        list(jsonedit.members(b'{"a":[' + b"[]," * jsonedit.MAX_TOKENS + b"0]}"))
