"""Keys: their text, what is kept of it, and the look-up that turns one into a Caller.

A key reads `gw-<public id>-<secret>`: 16 characters of `[a-z0-9]` and 43 of `[0-9A-Za-z]` (256 bits in base 62, which
has no `-`), so that a scanner for leaked secrets knows one when it sees it. Only HMAC-SHA-256(pepper, text of the key)
is kept: without the pepper the table cannot even be used to test a guess. SHA-256 and no slow password hash, because
256 random bits cannot be guessed and the check stands on the path of every call. As it covers the whole text, the
hash of one key is worthless under the id of another.

The id finds the record in a dict, so that one check costs the same among ten keys and among 100,000; the hash is then
compared in constant time. An unknown id is hashed and compared just like a wrong secret, and both get one message.

Nothing here does IO or reads a clock: `now` is in whole seconds since 1970, UTC.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from hmac import compare_digest
from typing import Final

import msgspec

from gateway.errors import Forbidden, Unauthenticated, Unavailable
from gateway.model.caller import Caller

PREFIX: Final = "gw-"
ID_LENGTH: Final = 16
SECRET_LENGTH: Final = 43  # 62 ** 43 is the first power of 62 over 2 ** 256
KEY_LENGTH: Final = len(PREFIX) + ID_LENGTH + 1 + SECRET_LENGTH
ENTROPY_BYTES: Final = 48  # 16 for the id, 32 for the secret
SECRET_BYTES: Final = 32
PATTERN: Final = r"\bgw-[a-z0-9]{16}-[0-9A-Za-z]{43}\b"  # for scanners of leaked secrets

_KEY: Final = re.compile(rb"gw-([a-z0-9]{16})-[0-9A-Za-z]{43}")
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_START: Final = len(PREFIX)
_ID_END: Final = _ID_START + ID_LENGTH
_PREFIX_BYTES: Final = PREFIX.encode()
_NOBODY: Final = bytes(32)  # what the hash of an unknown key is compared with; no hash is all zeros


# --- the text of a key


def mint(entropy: bytes) -> tuple[str, str]:
    """A new key out of `ENTROPY_BYTES` random bytes: its public id, and its text, which is shown once."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a key takes {ENTROPY_BYTES} random bytes, not {len(entropy)}")
    public_id = _digits(int.from_bytes(entropy[:16], "big"), _BASE36, ID_LENGTH)
    return public_id, remint(public_id, entropy[16:])


def remint(public_id: str, entropy: bytes) -> str:
    """The text of a key with an id that exists and a new secret out of `SECRET_BYTES` random bytes."""
    if len(entropy) != SECRET_BYTES:
        raise ValueError(f"a secret takes {SECRET_BYTES} random bytes, not {len(entropy)}")
    return f"{PREFIX}{public_id}-{_digits(int.from_bytes(entropy, 'big'), _BASE62, SECRET_LENGTH)}"


def public_id(text: str | bytes) -> str | None:
    """The id inside the text of a key; `None` where the text is no key of ours."""
    found = _KEY.fullmatch(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    return found[1].decode() if found else None


def _digits(number: int, alphabet: str, length: int) -> str:
    base = len(alphabet)
    out = []
    for _ in range(length):
        number, digit = divmod(number, base)
        out.append(alphabet[digit])
    return "".join(out)


class Hasher:
    """HMAC-SHA-256 under one pepper, over the text of a key.

    The two keyed states are made once and copied, which takes 0.5 us a hash; `hmac.digest` takes 1.3 us, since it
    sets both up each time (CPython 3.11, OpenSSL 3.0).
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, pepper: bytes) -> None:
        if not pepper.strip():
            raise ValueError("the pepper is blank")
        block = (hashlib.sha256(pepper).digest() if len(pepper) > 64 else pepper).ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def __call__(self, text: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(text)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


# --- what is kept


class Former(msgspec.Struct, frozen=True):
    """A secret that a rotation replaced: its hash, and until when (epoch seconds) it still opens the door."""

    digest: bytes
    valid_until: int


class KeyRecord(msgspec.Struct, frozen=True):
    """All that is kept of one key. Times are epoch seconds; `None` means no limit, or that it has not happened.

    `seq` is the number of the change that wrote this state, and grows over all keys together. `budget` is the text
    `USD/day` or `USD/month`; `rpm` and `tpm` are requests and tokens a minute.
    """

    id: str
    digest: bytes
    seq: int
    caller: Caller
    created_at: int
    budget: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    expires_at: int | None = None
    revoked_at: int | None = None
    former: tuple[Former, ...] = ()


class KeyRing:
    """All keys by their id, as one process knows them; `seq` is the newest change that is in.

    It is changed in place: one assignment into the dict a change, whatever the number of keys. That is safe because a
    record is frozen and replaced as a whole, the event loop's thread is the only one that writes, and `authenticate`
    reads one record once, with no await between finding and judging it: it sees the old record or the new one.
    """

    __slots__ = ("_by_id", "_hash", "closed", "seq")

    def __init__(self, pepper: bytes, records: Iterable[KeyRecord] = ()) -> None:
        self._hash = Hasher(pepper)
        self._by_id: dict[bytes, KeyRecord] = {}
        self.seq = 0
        self.closed = False  # set when the keys have not been readable for too long: then nobody comes in
        self.apply(records)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[KeyRecord]:
        return iter(self._by_id.values())

    def __repr__(self) -> str:
        return f"<KeyRing {len(self)} keys, seq {self.seq}{', closed' if self.closed else ''}>"

    def record(self, key_id: str) -> KeyRecord | None:
        """What is kept of the key with this id."""
        return self._by_id.get(key_id.encode())

    def apply(self, records: Iterable[KeyRecord]) -> None:
        """Take in changes, oldest first."""
        by_id = self._by_id
        for record in records:
            by_id[record.id.encode()] = record
            if record.seq > self.seq:
                self.seq = record.seq

    def replace(self, other: KeyRing) -> None:
        """Become what `other` is: for a database that was put back to an earlier state."""
        self._by_id, self._hash, self.seq = other._by_id, other._hash, other.seq

    def match(self, text: bytes, now: int) -> KeyRecord:
        """The record that this key opens. Raises `Unauthenticated`, or `Unavailable` if the ring is closed."""
        if self.closed:
            raise Unavailable(
                "The gateway cannot read its keys at present, and has not for too long to trust what it last read. "
                "Try again shortly.",
                code="keys_unavailable",
                retry_after_s=5,
            )
        if len(text) != KEY_LENGTH:
            raise _unknown(text)  # no key of any ring, and maybe 64 KiB that need no hashing
        digest = self._hash(text)
        record = self._by_id.get(text[_ID_START:_ID_END])
        if record is None:
            compare_digest(digest, _NOBODY)
            raise _unknown(text)
        if not compare_digest(digest, record.digest):
            _check_former(record, digest, text, now)
        if record.revoked_at is not None:
            raise Unauthenticated(
                "This API key was revoked. Ask whoever runs the gateway for a new one.", code="revoked_api_key"
            )
        if record.expires_at is not None and now >= record.expires_at:
            raise Unauthenticated(
                "This API key has expired. Ask whoever runs the gateway for a new one.", code="expired_api_key"
            )
        return record


def _check_former(record: KeyRecord, digest: bytes, text: bytes, now: int) -> None:
    for former in record.former:
        if compare_digest(digest, former.digest):
            if now < former.valid_until:
                return
            raise Unauthenticated(
                "This API key was rotated and its overlap has passed. Use the key that the rotation printed.",
                code="expired_api_key",
            )
    raise _unknown(text)


def _unknown(text: bytes) -> Unauthenticated:
    # What was sent is never quoted: it may be somebody's key for something else.
    if text.startswith(_PREFIX_BYTES):
        return Unauthenticated("This API key is not known here. Check that it was copied whole.")
    return Unauthenticated("This is not a key of this gateway: its keys begin with `gw-`. Provider keys stay with it.")


# --- what a call goes through


def authenticate(ring: KeyRing, text: bytes | str | None, now: int) -> Caller:
    """The holder of the key that came with a call, `None` if none came; `now` is epoch seconds.

    Raises `Unauthenticated` with the code `missing_api_key`, `invalid_api_key`, `expired_api_key` or
    `revoked_api_key`; the last two only to one who holds the secret. Raises `Unavailable`, `keys_unavailable`, while
    the keys cannot be trusted.
    """
    if not text:
        raise Unauthenticated(
            "No API key was sent. Send `Authorization: Bearer gw-...`; a key in the query string is not read.",
            code="missing_api_key",
        )
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return ring.match(raw, now).caller


def credential(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The key among the headers of a call (names in lower case), as each provider's clients send it.

    `Authorization: Bearer`, `x-api-key` (Anthropic), `x-goog-api-key` (Gemini) and `api-key` (Azure) are read; another
    scheme of `Authorization` belongs to somebody else and is passed over. The same key in two of them is one key.
    Raises `Unauthenticated`, `ambiguous_api_key`, where two differ: checking one and billing the other is how gateways
    are fooled.
    """
    found: bytes | None = None
    authorization = headers.get(b"authorization")
    if authorization is not None and authorization[:7].lower() == b"bearer ":
        found = authorization[7:].strip() or None
    for name in (b"x-api-key", b"x-goog-api-key", b"api-key"):
        value = headers.get(name)
        if value is None or not (value := value.strip()):
            continue
        if found is not None and value != found:
            raise Unauthenticated(
                "Two different API keys were sent. Send one: `Authorization: Bearer`, or one of `x-api-key`, "
                "`x-goog-api-key`, `api-key`.",
                code="ambiguous_api_key",
            )
        found = value
    return found


def covers(caller: Caller, model: str) -> bool:
    """Whether the key of `caller` may use `model`."""
    return caller.models is None or model in caller.models or _fits(caller.models, model)


def check_model(caller: Caller, model: str) -> None:
    """Raise `Forbidden`, `model_not_allowed`, with what the key does cover, unless it covers `model`."""
    if caller.models is None or covers(caller, model):
        return
    raise Forbidden(
        f"This API key may not use the model {_shown(model)}; it may use: {_listed(caller.models)}.",
        code="model_not_allowed",
        param="model",
    )


def check_agent(caller: Caller, agent: str | None) -> str | None:
    """The agent that this call speaks for; `agent` is the name that it gave, if it gave one.

    A key for one agent implies its name. A key for several must be told which: were no name let through, leaving out
    the header would dodge every policy whose scope is an agent. Raises `Forbidden`: `agent_not_allowed` or
    `agent_required`.
    """
    allowed = caller.agents
    if allowed is None:
        return agent
    if agent is None:
        only = next(iter(allowed)) if len(allowed) == 1 else "*"
        if not only.endswith("*"):
            return only
        raise Forbidden(
            f"This API key speaks for several agents; name one in the header x-gateway-agent: {_listed(allowed)}.",
            code="agent_required",
            param="x-gateway-agent",
        )
    if agent in allowed or _fits(allowed, agent):
        return agent
    raise Forbidden(
        f"This API key may not speak for the agent {_shown(agent)}; it may for: {_listed(allowed)}.",
        code="agent_not_allowed",
        param="x-gateway-agent",
    )


def _fits(patterns: frozenset[str], name: str) -> bool:
    return any(pattern.endswith("*") and name.startswith(pattern[:-1]) for pattern in patterns)


def _shown(name: str) -> str:
    """A caller's own word in a message: quoted, escaped and bounded."""
    return ascii(name if len(name) <= 100 else name[:97] + "...")


def _listed(names: frozenset[str], most: int = 20) -> str:
    shown = sorted(names)[:most]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
