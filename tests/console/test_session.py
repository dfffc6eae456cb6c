"""A session is as good as the key that opened it, and no better."""

from __future__ import annotations

import pytest

from gateway.access.keys import Former, Hasher, KeyRecord, KeyRing, mint, remint
from gateway.console.session import SESSION_S, Sessions
from gateway.errors import Unauthenticated, Unavailable
from gateway.model.caller import Caller

PEPPER = b"p" * 32
NOW = 1_800_000_000
KEY_ID, TEXT = mint(bytes(range(48)))
NEW_TEXT = remint(KEY_ID, bytes(32))


def digest(text: str) -> bytes:
    return Hasher(PEPPER)(text.encode())


def ring(*, revoked_at: int | None = None, expires_at: int | None = None, rotated_until: int | None = None) -> KeyRing:
    """A ring of one key; with `rotated_until`, its first secret was replaced and works until then."""
    caller = Caller(KEY_ID, "search", "default", "box", "auditor")
    former = () if rotated_until is None else (Former(digest(TEXT), rotated_until),)
    current = TEXT if rotated_until is None else NEW_TEXT
    record = KeyRecord(
        KEY_ID, digest(current), 1, caller, NOW, expires_at=expires_at, revoked_at=revoked_at, former=former
    )
    return KeyRing(PEPPER, [record])


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(PEPPER)


@pytest.fixture
def token(sessions: Sessions) -> str:
    return sessions.open(ring(), TEXT, NOW)


def test_a_session_leads_back_to_its_key(sessions: Sessions, token: str) -> None:
    assert sessions.read(ring(), token, NOW + 1).caller.team == "search"


def test_another_worker_with_the_same_pepper_knows_the_session(token: str) -> None:
    assert Sessions(PEPPER).read(ring(), token, NOW).id == KEY_ID


def test_a_gateway_with_another_pepper_does_not(token: str) -> None:
    with pytest.raises(Unauthenticated):
        Sessions(b"q" * 32).read(ring(), token, NOW)


def test_a_key_that_is_not_known_opens_no_session(sessions: Sessions) -> None:
    with pytest.raises(Unauthenticated):
        sessions.open(ring(), NEW_TEXT, NOW)


def test_the_token_holds_nothing_of_the_secret(token: str) -> None:
    assert TEXT.split("-")[2] not in token and digest(TEXT).hex() not in token


def test_it_lasts_twelve_hours_to_the_second(sessions: Sessions, token: str) -> None:
    sessions.read(ring(), token, NOW + 12 * 3600 - 1)
    with pytest.raises(Unauthenticated, match="has ended"):
        sessions.read(ring(), token, NOW + 12 * 3600)
    assert SESSION_S == 12 * 3600


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param(ring(revoked_at=NOW + 1), "revoked", id="revoked"),
        pytest.param(ring(expires_at=NOW + 5), "expired", id="expired"),
        pytest.param(ring(rotated_until=NOW + 5), "rotated", id="rotated, after the overlap"),
        pytest.param(KeyRing(PEPPER), "revoked", id="gone"),
    ],
)
def test_it_ends_with_its_key(sessions: Sessions, token: str, changed: KeyRing, reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        sessions.read(changed, token, NOW + 5)


def test_it_lives_through_the_overlap_of_a_rotation(sessions: Sessions, token: str) -> None:
    assert sessions.read(ring(rotated_until=NOW + 5), token, NOW + 4).id == KEY_ID


def test_nobody_is_let_in_while_the_keys_cannot_be_trusted(sessions: Sessions, token: str) -> None:
    closed = ring()
    closed.closed = True
    with pytest.raises(Unavailable):
        sessions.read(closed, token, NOW)


def test_no_character_of_a_token_can_be_changed(sessions: Sessions, token: str) -> None:
    for at, old in enumerate(token):
        forged = token[:at] + ("0" if old != "0" else "1") + token[at + 1 :]
        with pytest.raises(Unauthenticated, match="not one of this gateway"):
            sessions.read(ring(), forged, NOW)


@pytest.mark.parametrize("token", ["", ".", "a.b.c.d", "x" * 10_000, "\ud800", TEXT])
def test_what_is_no_token_is_refused(sessions: Sessions, token: str) -> None:
    with pytest.raises(Unauthenticated):
        sessions.read(ring(), token, NOW)


def test_a_form_token_is_good_for_its_session_only(sessions: Sessions, token: str) -> None:
    other = sessions.open(ring(), TEXT, NOW + 1)
    form = sessions.form_token(token)
    assert sessions.knows_form(token, form)
    assert not sessions.knows_form(other, form)
    assert not sessions.knows_form(token, "") and not sessions.knows_form(token, "\ud800")
