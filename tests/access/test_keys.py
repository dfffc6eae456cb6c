"""Keys: a text that scanners know, a check that tells friend from foe, and scopes that hold."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access import KeyRing, authenticate, check_agent, check_model, credential
from gateway.access.keys import (
    ENTROPY_BYTES,
    KEY_LENGTH,
    PATTERN,
    SECRET_BYTES,
    Former,
    Hasher,
    KeyRecord,
    mint,
    public_id,
    remint,
)
from gateway.errors import Forbidden, Unauthenticated, Unavailable
from gateway.model.caller import Caller

PEPPER = b"p" * 32
NOW = 1_800_000_000


def entropy(number: int, count: int = ENTROPY_BYTES) -> bytes:
    return hashlib.shake_256(str(number).encode()).digest(count)


def caller(key_id: str = "k", models: set[str] | None = None, agents: set[str] | None = None) -> Caller:
    def frozen(names: set[str] | None) -> frozenset[str] | None:
        return None if names is None else frozenset(names)

    return Caller(key_id, "search", "web", "", "developer", frozen(models), frozen(agents))


def made(
    number: int = 1,
    *,
    expires_at: int | None = None,
    revoked_at: int | None = None,
    former: tuple[Former, ...] = (),
) -> tuple[KeyRecord, str]:
    key_id, text = mint(entropy(number))
    record = KeyRecord(
        id=key_id,
        digest=Hasher(PEPPER)(text.encode()),
        seq=number,
        caller=caller(key_id),
        created_at=0,
        expires_at=expires_at,
        revoked_at=revoked_at,
        former=former,
    )
    return record, text


class TestText:
    @given(st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES))
    def test_every_key_has_one_form_which_the_scanners_pattern_finds_in_any_text(self, random: bytes) -> None:
        key_id, text = mint(random)
        assert len(text) == KEY_LENGTH
        assert re.findall(PATTERN, f'OPENAI_API_KEY="{text}"\n') == [text]
        assert text.split("-") == ["gw", key_id, text[-43:]]
        assert public_id(text) == public_id(text.encode()) == key_id

    @given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
    def test_two_secrets_never_share_a_text(self, one: bytes, other: bytes) -> None:
        assert (remint("a" * 16, one) == remint("a" * 16, other)) == (one == other)

    @given(st.one_of(st.text(), st.binary(), st.from_regex(r"gw-.{16}-.{43}")))
    def test_parsing_anything_gives_an_id_only_where_the_form_is_met(self, text: str | bytes) -> None:
        as_text = text.decode("latin-1") if isinstance(text, bytes) else text
        formed = re.fullmatch(r"gw-([a-z0-9]{16})-[0-9A-Za-z]{43}", as_text, re.ASCII)
        assert public_id(text) == (formed[1] if formed else None)

    @pytest.mark.parametrize("size", [0, ENTROPY_BYTES - 1, ENTROPY_BYTES + 1])
    def test_too_little_randomness_makes_no_key(self, size: int) -> None:
        with pytest.raises(ValueError, match="48 random bytes"):
            mint(bytes(size))
        with pytest.raises(ValueError, match="32 random bytes"):
            remint("a" * 16, bytes(SECRET_BYTES - 1))


class TestHasher:
    @given(st.binary(min_size=1, max_size=100).filter(lambda pepper: pepper.strip()), st.binary(max_size=200))
    def test_it_is_hmac_sha_256(self, pepper: bytes, text: bytes) -> None:
        assert Hasher(pepper)(text) == hmac.digest(pepper, text, "sha256")

    @pytest.mark.parametrize("pepper", [b"", b" ", b"\n\t"], ids=["empty", "blank", "white space"])
    def test_a_blank_pepper_is_refused(self, pepper: bytes) -> None:
        with pytest.raises(ValueError, match="blank"):
            Hasher(pepper)


class TestAuthenticate:
    def test_the_right_key_gives_its_caller_as_text_or_bytes(self) -> None:
        record, text = made()
        ring = KeyRing(PEPPER, [record])
        assert authenticate(ring, text, NOW) is record.caller
        assert authenticate(ring, text.encode(), NOW) is record.caller

    @pytest.mark.parametrize("nothing", [None, b"", ""])
    def test_no_key_is_missing(self, nothing: bytes | str | None) -> None:
        with pytest.raises(Unauthenticated, match="Authorization: Bearer") as caught:
            authenticate(KeyRing(PEPPER), nothing, NOW)
        assert (caught.value.status, caught.value.code) == (401, "missing_api_key")

    def test_an_unknown_id_and_a_wrong_secret_cannot_be_told_apart(self) -> None:
        record, text = made()
        ring = KeyRing(PEPPER, [record])
        said = []
        for wrong in (mint(entropy(2))[1], remint(record.id, entropy(3, SECRET_BYTES)), text[:-1] + "~"):
            with pytest.raises(Unauthenticated) as caught:
                authenticate(ring, wrong, NOW)
            said.append((caught.value.code, caught.value.message))
        assert said[0] == said[1] == said[2]
        assert {code for code, _ in said} == {"invalid_api_key"}

    @given(st.one_of(st.text(min_size=1), st.binary(min_size=1)))
    def test_anything_else_is_invalid_and_never_quoted(self, text: str | bytes) -> None:
        with pytest.raises(Unauthenticated) as caught:
            authenticate(KeyRing(PEPPER, [made()[0]]), text, NOW)
        assert caught.value.code == "invalid_api_key"
        assert caught.value.message in {
            "This API key is not known here. Check that it was copied whole.",
            "This is not a key of this gateway: its keys begin with `gw-`. Provider keys stay with it.",
        }

    def test_a_key_ends_at_its_expiry_to_the_second(self) -> None:
        record, text = made(expires_at=NOW)
        ring = KeyRing(PEPPER, [record])
        assert authenticate(ring, text, NOW - 1) is record.caller
        with pytest.raises(Unauthenticated) as caught:
            authenticate(ring, text, NOW)
        assert caught.value.code == "expired_api_key"

    def test_a_revoked_key_says_so_only_to_one_who_holds_its_secret(self) -> None:
        record, text = made(revoked_at=NOW - 5)
        ring = KeyRing(PEPPER, [record])
        with pytest.raises(Unauthenticated) as caught:
            authenticate(ring, text, NOW)
        assert caught.value.code == "revoked_api_key"
        with pytest.raises(Unauthenticated) as caught:
            authenticate(ring, remint(record.id, entropy(9, SECRET_BYTES)), NOW)
        assert caught.value.code == "invalid_api_key"

    def test_a_rotated_key_opens_with_both_secrets_until_the_overlap_has_passed(self) -> None:
        old, old_text = made()
        new_text = remint(old.id, entropy(2, SECRET_BYTES))
        rotated = KeyRecord(
            id=old.id,
            digest=Hasher(PEPPER)(new_text.encode()),
            seq=2,
            caller=old.caller,
            created_at=0,
            former=(Former(old.digest, NOW + 60),),
        )
        ring = KeyRing(PEPPER, [old, rotated])
        assert authenticate(ring, new_text, NOW + 999) is old.caller
        assert authenticate(ring, old_text, NOW + 59) is old.caller
        with pytest.raises(Unauthenticated, match="rotated") as caught:
            authenticate(ring, old_text, NOW + 60)
        assert caught.value.code == "expired_api_key"

    def test_the_hash_of_one_key_does_not_open_another(self) -> None:
        mine, text = made(1)
        theirs, _ = made(2)
        ring = KeyRing(PEPPER, [KeyRecord(id=theirs.id, digest=mine.digest, seq=3, caller=theirs.caller, created_at=0)])
        with pytest.raises(Unauthenticated):
            authenticate(ring, text.replace(mine.id, theirs.id), NOW)

    def test_a_closed_ring_lets_nobody_in_and_says_when_to_come_back(self) -> None:
        record, text = made()
        ring = KeyRing(PEPPER, [record])
        ring.closed = True
        with pytest.raises(Unavailable) as caught:
            authenticate(ring, text, NOW)
        assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (503, "keys_unavailable", 5)


class TestKeyRing:
    def test_a_change_replaces_one_record_and_moves_the_number_on(self) -> None:
        records = [made(number)[0] for number in range(1, 6)]
        ring = KeyRing(PEPPER, records)
        revoked, text = made(3, revoked_at=NOW)
        ring.apply([KeyRecord(id=revoked.id, digest=revoked.digest, seq=9, caller=revoked.caller, created_at=0,
                              revoked_at=NOW)])  # fmt: skip
        assert (len(ring), ring.seq) == (5, 9)
        assert sorted(record.seq for record in ring) == [1, 2, 4, 5, 9]
        with pytest.raises(Unauthenticated):
            authenticate(ring, text, NOW)

    def test_it_gives_the_record_behind_an_id(self) -> None:
        record, _ = made()
        ring = KeyRing(PEPPER, [record])
        assert ring.record(record.id) is record
        assert ring.record("nobody") is None

    def test_its_repr_tells_its_state_and_no_more(self) -> None:
        ring = KeyRing(PEPPER, [made()[0]])
        ring.closed = True
        assert repr(ring) == "<KeyRing 1 keys, seq 1, closed>"

    def test_a_check_among_100_000_keys_costs_about_what_it_costs_among_10(self) -> None:
        """A generous bound, for machines that are busy: a scan would be off by a factor of thousands."""
        digest = bytes(32)
        crowd = [KeyRecord(id=f"{n:016d}", digest=digest, seq=n, caller=caller(), created_at=0) for n in range(100_000)]
        record, text = made()
        small, large = KeyRing(PEPPER, [record]), KeyRing(PEPPER, [*crowd, record])
        key = text.encode()

        def cost(ring: KeyRing) -> float:
            best = 1.0
            for _ in range(7):
                began = time.perf_counter()
                for _ in range(2_000):
                    authenticate(ring, key, NOW)
                best = min(best, time.perf_counter() - began)
            return best / 2_000

        assert cost(large) < 3 * cost(small)
        assert cost(large) < 50e-6


class TestCredential:
    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({b"authorization": b"Bearer gw-a"}, b"gw-a"),
            ({b"authorization": b"bearer  gw-a "}, b"gw-a"),
            ({b"x-api-key": b"gw-a"}, b"gw-a"),
            ({b"x-goog-api-key": b"gw-a"}, b"gw-a"),
            ({b"api-key": b" gw-a"}, b"gw-a"),
            ({b"authorization": b"Bearer gw-a", b"x-api-key": b"gw-a"}, b"gw-a"),
            ({b"authorization": b"Basic dTpw", b"x-api-key": b"gw-a"}, b"gw-a"),
            ({b"authorization": b"Bearer ", b"api-key": b"gw-a"}, b"gw-a"),
            ({b"authorization": b"Bearer gw-a", b"x-api-key": b""}, b"gw-a"),
            ({b"authorization": b"Basic dTpw"}, None),
            ({b"authorization": b"Bearer "}, None),
            ({b"authorization": b"gw-a"}, None),
            ({b"cookie": b"gw-a"}, None),
            ({}, None),
        ],
    )
    def test_a_key_is_found_wherever_clients_put_it(self, headers: dict[bytes, bytes], expected: bytes | None) -> None:
        assert credential(headers) == expected

    @pytest.mark.parametrize(
        "headers",
        [
            {b"authorization": b"Bearer gw-a", b"x-api-key": b"gw-b"},
            {b"x-api-key": b"gw-a", b"api-key": b"gw-b"},
            {b"x-goog-api-key": b"gw-a", b"authorization": b"Bearer gw-b"},
        ],
    )
    def test_two_different_keys_are_refused(self, headers: dict[bytes, bytes]) -> None:
        with pytest.raises(Unauthenticated, match="Two different") as caught:
            credential(headers)
        assert caught.value.code == "ambiguous_api_key"
        assert "gw-" not in caught.value.message


class TestScope:
    @pytest.mark.parametrize(
        ("models", "model"),
        [
            (None, "anything"),
            ({"a", "b"}, "b"),
            ({"gpt-*"}, "gpt-5"),
            ({"gpt-*"}, "gpt-"),
            ({"*"}, "x"),
            ({"a*"}, "a*"),
        ],
    )
    def test_a_model_that_the_key_covers_passes(self, models: set[str] | None, model: str) -> None:
        check_model(caller(models=models), model)

    @pytest.mark.parametrize("model", ["c", "A", "", "gpt", "xgpt-5", "b "])
    def test_any_other_is_refused_with_what_would_be_right(self, model: str) -> None:
        with pytest.raises(Forbidden, match=r"it may use: a, b, gpt-\*\.") as caught:
            check_model(caller(models={"b", "a", "gpt-*"}), model)
        assert (caught.value.status, caught.value.code, caught.value.param) == (403, "model_not_allowed", "model")

    def test_the_refusal_is_of_bounded_length_and_has_no_line_breaks(self) -> None:
        with pytest.raises(Forbidden) as caught:
            check_model(caller(models={f"model-{n}" for n in range(1000)}), "x\r\n" * 10_000)
        assert len(caught.value.message) < 800
        assert caught.value.message.isprintable()
        assert "and 980 more" in caught.value.message

    @pytest.mark.parametrize(
        ("agents", "named", "expected"),
        [
            (None, None, None),
            (None, "scout", "scout"),
            ({"scout"}, None, "scout"),
            ({"scout"}, "scout", "scout"),
            ({"scout", "clerk"}, "clerk", "clerk"),
            ({"support-*"}, "support-eu", "support-eu"),
        ],
    )
    def test_an_agent_is_implied_by_one_name_or_taken_as_given(
        self, agents: set[str] | None, named: str | None, expected: str | None
    ) -> None:
        assert check_agent(caller(agents=agents), named) == expected

    @pytest.mark.parametrize("named", ["clerk", "", "scout2", "SCOUT"])
    def test_another_agents_name_is_refused(self, named: str) -> None:
        with pytest.raises(Forbidden, match="it may for: scout") as caught:
            check_agent(caller(agents={"scout"}), named)
        assert caught.value.code == "agent_not_allowed"

    @pytest.mark.parametrize("agents", [{"scout", "clerk"}, {"support-*"}])
    def test_leaving_the_name_out_does_not_dodge_a_policys_scope(self, agents: set[str]) -> None:
        with pytest.raises(Forbidden, match="x-gateway-agent") as caught:
            check_agent(caller(agents=agents), None)
        assert caught.value.code == "agent_required"


def test_the_docs_show_scanners_the_pattern_that_is_true() -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "keys.md"
    assert f"    {PATTERN}\n" in page.read_text()
