"""Whom a call is booked on besides its key: what is read, what is refused, and what only an agent's key may say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.attribution import MAX_NAME, MAX_TAGS, NOBODY, Attribution, attribution
from gateway.errors import Forbidden, InvalidRequest, Refusal
from gateway.model.caller import Caller

ANYBODY = Caller("k1", "red", "", "", "developer")
NAMES = ("x-gateway-agent", "x-gateway-session", "x-gateway-tags")


def key_for(*agents: str) -> Caller:
    return Caller("k1", "red", "", "", "developer", agents=frozenset(agents))


def read(parsed: Any = None, caller: Any = ANYBODY, **headers: Any) -> Attribution:
    """`headers` are those of ours: `agent="a"`, and `baggage`."""
    raw = {
        (name if name == "baggage" else f"x-gateway-{name}").encode(): one.encode() if isinstance(one, str) else one
        for name, one in headers.items()
    }
    return attribution(caller, raw, parsed)


# --- what is read


def test_a_call_that_names_nobody_is_nobody_s() -> None:
    assert read() is NOBODY and read({"model": "m"}) is NOBODY


def test_headers_name_a_session_an_agent_and_tags() -> None:
    assert read(session=" s-1 ", agent="router", tags="tier=gold, feature=chat") == Attribution(
        "", "s-1", "router", ("feature=chat", "tier=gold")
    )


def test_a_body_names_a_user_and_a_session() -> None:
    assert read({"user": "ada", "metadata": {"session_id": "s-1"}}) == Attribution("ada", "s-1")
    assert read({"safety_identifier": "ada"}) == Attribution("ada")
    assert read({"user": "", "safety_identifier": "ada"}) == Attribution("ada")


@pytest.mark.parametrize(
    ("parsed", "headers", "session"),
    [
        (
            {"metadata": {"session_id": "body"}},
            {"session": "header", "baggage": "gen_ai.conversation.id=bag"},
            "header",
        ),
        ({"metadata": {"session_id": "body"}}, {"baggage": "gen_ai.conversation.id=bag"}, "body"),
        ({"metadata": {"session_id": 7}}, {"baggage": "gen_ai.conversation.id=bag"}, "bag"),
        ({"metadata": ["session_id"]}, {}, ""),
        ({"metadata": None}, {}, ""),
        (None, {"baggage": "gen_ai.conversation.id=bag"}, "bag"),
    ],
)
def test_the_nearest_session_counts(parsed: Any, headers: dict[str, str], session: str) -> None:
    assert read(parsed, **headers).session == session


@pytest.mark.parametrize(
    ("baggage", "session"),
    [
        (b"gen_ai.conversation.id=a%20b%C3%A9", "a bé"),
        (b"a=b, gen_ai.conversation.id = x ; p=1;q ,c=d", "x"),
        (b"gen_ai.conversation.id=x,gen_ai.conversation.id=y", "x"),
        (b"gen_ai.conversation.id", ""),
        (b"gen_ai.conversation.id=", ""),
        (b"xgen_ai.conversation.id=a", ""),
        (b"gen_ai.conversation.id=a%0d%0ab", ""),
        (b"gen_ai.conversation.id=" + b"a" * (MAX_NAME + 1), ""),
        (b"gen_ai.conversation.id=%zz", "%zz"),
        (b",,;=,", ""),
        (b"", ""),
    ],
)
def test_baggage_is_read_as_w3c_writes_it(baggage: bytes, session: str) -> None:
    assert read(baggage=baggage).session == session


@pytest.mark.parametrize(
    "user", [7, None, True, ["ada"], {"name": "ada"}, "a\nb", "a\x00", "a\u202eb", "x" * (MAX_NAME + 1), ""]
)
def test_what_cannot_be_a_name_in_a_body_is_none(user: object) -> None:
    assert read({"user": user, "metadata": {"session_id": user}}) is NOBODY


# --- what is refused

BAD_NAMES = {
    "empty": b"",
    "spaces": b"  ",
    "too long": b"x" * (MAX_NAME + 1),
    "a control character": b"a\x07b",
    "a tab": b"a\tb",
    "a direction mark": "a\u202eb".encode(),
    "a space of another kind": "a\u00a0b".encode(),
    "not UTF-8": b"caf\xe9",
    "half a character": "é".encode()[:1],
    "a surrogate": b"\xed\xa0\x80",
    "an overlong form": b"\xc0\xaf",
}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("header", ["agent", "session"])
def test_a_name_in_a_header_is_1_to_128_printable_characters(header: str, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**{header: BAD_NAMES[name]})
    assert caught.value.param == f"x-gateway-{header}" and caught.value.message.isprintable()


BAD_TAGS = {
    "no value": b"feature",
    "an empty value": b"feature=",
    "an empty name": b"=chat",
    "two values": b"feature=a=b",
    "a name with a space": b"my feature=chat",
    "a name of other letters": "größe=1".encode(),
    "a control character": b"feature=a\x00b",
    "a direction mark": "feature=\u202egold".encode(),
    "not UTF-8": b"feature=caf\xe9",
    "too long": b"feature=" + b"x" * MAX_NAME,
    "too many": b",".join(b"t%d=1" % at for at in range(MAX_TAGS + 1)),
    "one name twice": b"tier=gold,tier=silver",
    "one of several": b"tier=gold,feature",
    "a line break within": b"tier=gold\n,feature=x\r\ny",
}


@pytest.mark.parametrize("name", BAD_TAGS)
def test_tags_are_names_and_values(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(tags=BAD_TAGS[name])
    assert caught.value.param == "x-gateway-tags" and caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("", ()),
        (" , ,", ()),
        ("b=2,a=1", ("a=1", "b=2")),
        ("a=1,a=1, a=1", ("a=1",)),
        ("A-b_c.9=ü ü", ("A-b_c.9=ü ü",)),
        (",".join(f"t{at:02}=1" for at in range(MAX_TAGS)), tuple(f"t{at:02}=1" for at in range(MAX_TAGS))),
    ],
)
def test_tags_are_sorted_and_each_there_once(tags: str, found: tuple[str, ...]) -> None:
    assert read(tags=tags).tags == found


@given(st.dictionaries(st.sampled_from(["agent", "session", "tags", "baggage"]), st.binary(max_size=200)), st.data())
def test_whatever_a_header_holds_it_is_a_name_or_refused(headers: dict[str, bytes], data: st.DataObject) -> None:
    parsed = data.draw(st.none() | st.dictionaries(st.sampled_from(["user", "metadata"]), st.text() | st.integers()))
    try:
        found = read(parsed, **headers)
    except Refusal as error:
        assert error.param in NAMES and error.message.isprintable()
        return
    for text in (found.user, found.session, found.agent, *found.tags):
        assert text.isprintable() and len(text) <= MAX_NAME
        text.encode()
    assert len(found.tags) <= MAX_TAGS


# --- agents of keys


@pytest.mark.parametrize(
    ("agents", "named", "agent"),
    [
        (("router",), None, "router"),
        (("router",), "router", "router"),
        (("router", "writer"), "writer", "writer"),
        (("team-*",), "team-a", "team-a"),
        (("*",), "whoever", "whoever"),
    ],
)
def test_a_key_of_agents_speaks_for_them(agents: tuple[str, ...], named: str | None, agent: str) -> None:
    headers = {} if named is None else {"agent": named}
    assert read(caller=key_for(*agents), **headers).agent == agent


@pytest.mark.parametrize(
    ("agents", "named", "code"),
    [
        (("router",), "writer", "agent_not_allowed"),
        (("router",), "Router", "agent_not_allowed"),
        (("router",), "router*", "agent_not_allowed"),
        (("team-*",), "tea", "agent_not_allowed"),
        (("router", "writer"), None, "agent_required"),
        (("team-*",), None, "agent_required"),
    ],
)
def test_a_key_of_agents_speaks_for_no_other(agents: tuple[str, ...], named: str | None, code: str) -> None:
    headers = {} if named is None else {"agent": named}
    with pytest.raises(Forbidden) as caught:
        read(caller=key_for(*agents), **headers)
    assert caught.value.code == code
