"""No key gets through, whatever the shape of what is logged."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.redact import TEXT_CHARS, Redactor

CANARY = "C4n4ryC4n4ryC4n4ry"

KEYS = [
    f"gw-abcdefghijkl-{CANARY}",
    f"sk-{CANARY}",
    f"sk-proj-{CANARY}_{CANARY}",
    f"sk-ant-api03-{CANARY}",
    f"sk-or-v1-{CANARY}",
    f"xai-{CANARY}",
    f"gsk_{CANARY}",
    f"pplx-{CANARY}",
    f"nvapi-{CANARY}",
    f"csk-{CANARY}",
    f"hf_{CANARY}",
    f"AIzaSy{CANARY}",
    f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
]

PLACES: list[Callable[[str], object]] = [
    lambda key: key,
    lambda key: f"the key {key}, which is wrong",
    lambda key: f"'{key}'",
    lambda key: f"({key})",
    lambda key: f"line\n{key}\nline",
    lambda key: repr(f"line\n{key}\tline"),
    lambda key: f"GET /v1?a=b%20{key}&c=d",
    lambda key: key.encode(),
    lambda key: [("a", 1), [key]],
    lambda key: {"deep": {"deeper": ({"deepest": key},)}},
    lambda key: {key: "as a name"},
    lambda key: {1: {key}},
    lambda key: ValueError(f"cannot use {key}"),
    lambda key: "x" * (TEXT_CHARS - 10) + f" {key}",
    lambda key: b"\xff\xfe " + key.encode(),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.split(CANARY)[0])
def test_a_key_of_a_known_shape_goes_wherever_it_stands(key: str, place: Callable[[str], object]) -> None:
    assert CANARY[:6] not in orjson.dumps(Redactor().value({"field": place(key)})).decode()


@pytest.mark.parametrize(
    "event",
    [
        {"authorization": CANARY},
        {"Authorization": f"Bearer {CANARY}"},
        {"headers": [(b"x-api-key", CANARY.encode()), (b"accept", b"*/*")]},
        {"headers": {b"X-Goog-Api-Key": CANARY.encode()}},
        {"config": {"api_key": CANARY, "client_secret": CANARY, "openai_api_key": CANARY, "password": [CANARY]}},
        {"event": f"Authorization: Bearer {CANARY}"},
        {"event": f"Authorization: Token {CANARY} {CANARY}"},
        {"event": f"Authorization: Basic {CANARY}"},
        {"event": f"sent bearer {CANARY}."},
        {"event": f"x-api-key: {CANARY}"},
        {"event": f"x-api-key={CANARY}"},
        {"event": f'{{"api_key": "{CANARY}"}}'},
        {"event": orjson.dumps(orjson.dumps({"api-key": CANARY}).decode()).decode()},
        {"event": repr([(b"x-api-key", CANARY.encode())])},
        {"event": repr({"X-Api-Key": CANARY})},
        {"event": f"Cookie: session={CANARY}; other={CANARY}"},
        {"event": f"https://host/v1beta/models?key={CANARY}&alt=sse"},
        {"event": f"postgresql://user:{CANARY}@host/db"},
    ],
)
def test_a_value_goes_that_only_the_name_beside_it_gives_away(event: dict[str, object]) -> None:
    assert CANARY not in orjson.dumps(Redactor().value(event)).decode()


def test_the_configurations_own_secrets_go_whatever_they_look_like() -> None:
    redactor = Redactor([CANARY, CANARY + "longer", "ab", ""])
    assert redactor.value(f"a {CANARY}longer b {CANARY}c ab") == "a [redacted] b [redacted]c ab"
    redactor.know(["another one"])
    assert redactor.value(["another one", "ab"]) == ["[redacted]", "ab"]


@pytest.mark.parametrize(
    "text",
    [
        "POST /v1/chat/completions answered 200 in 12 ms",
        "key_id=k_1234567890 team=risk-scoring",
        "task-12345678 asked for gpt-5-mini with 12 input_tokens",
        "The API key, which is missing, goes into the header.",
        "https://example.com:8443/path?model=gpt-5&stream=true",
        "Müller sagt: 日本語",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor().value(text) == text


def test_ordinary_values_stay_as_they_are() -> None:
    event = {"a": 1, "b": 2.5, "c": None, "d": True, "e": [1, "x"], "key_id": "k1", "input_tokens": 7, "token": None}
    assert Redactor().value(event) == event


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


def test_an_object_that_cannot_be_shown_does_not_lose_the_event() -> None:
    assert Redactor().value({"a": Hostile()}) == {"a": "<Hostile that cannot be shown: RuntimeError>"}


def test_size_and_depth_are_bounded() -> None:
    ring: list[object] = []
    ring.append(ring)
    event = {"ring": ring, "long": "x" * 10**6, "many": list(range(10**5)), "huge": 1 << 100_000}
    assert len(orjson.dumps(Redactor().value(event))) < 3 * TEXT_CHARS


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.binary() | st.integers(), inner),
)


@given(_plain)
def test_whatever_goes_in_json_comes_out(value: object) -> None:
    assert b"\n" not in orjson.dumps(Redactor().value(value))


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters=CANARY)), st.sampled_from(KEYS))
def test_a_key_goes_whatever_text_precedes_it(before: str, key: str) -> None:
    assert key not in str(Redactor().value(f"{before} {key}"))


@pytest.mark.parametrize(
    "unit", ["-", "_", " ", "eyJ-", "://a:", "bearer ", "x-api-key:", "authorization", "\\", "a", "?key=", "%20", "'"]
)
def test_no_text_takes_long(unit: str) -> None:
    began = time.perf_counter()
    Redactor().value(unit * 200_000)
    assert time.perf_counter() - began < 1.0
