"""Sessions of the console that no worker has to remember: who signed in and until when, signed.

A cookie reads `<key id>.<end>.<secret>.<signature>`. Its signature is an HMAC under a key derived from the pepper, so
any worker can check it and nobody else can make one. `secret` is a fingerprint of the secret that was pasted: when a
key is rotated because it leaked, the sessions of the leaked secret end with it, as soon as its overlap does. Each
request looks the key up again, so revoking it ends its sessions as fast as it ends its calls.

Nothing here does IO or reads a clock: `now` is in whole seconds since 1970, UTC.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from typing import Final

from gateway.access import KeyRing, authenticate
from gateway.access.keys import Hasher, KeyRecord
from gateway.errors import Unauthenticated, Unavailable

SESSION_S: Final = 12 * 3600
"""A working day; then the key is asked for again."""

_PURPOSE: Final = b"gateway console sessions, 1"
_TOKEN: Final = re.compile(r"([a-z0-9]{16})\.([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")
_AGAIN: Final = "Sign in again."


class Sessions:
    """Makes and checks the tokens of sessions. `pepper` is that of the keys."""

    def __init__(self, pepper: bytes) -> None:
        self._key = hmac.digest(pepper, _PURPOSE, "sha256")
        self._hash = Hasher(pepper)

    def __repr__(self) -> str:
        return "<Sessions>"

    def open(self, ring: KeyRing, text: str, now: int) -> str:
        """A token for whoever holds the key `text`. Raises what `access.authenticate` raises."""
        caller = authenticate(ring, text, now)
        secret = self._fingerprint(self._hash(text.encode()))
        payload = f"{caller.key_id}.{now + SESSION_S}.{secret}"
        return f"{payload}.{self._sign('session', payload)}"

    def read(self, ring: KeyRing, token: str, now: int) -> KeyRecord:
        """The key that opened the session. Raises `Unauthenticated`, or `Unavailable` while keys cannot be trusted."""
        if ring.closed:
            raise Unavailable(
                "The gateway cannot read its keys at present. Try again shortly.", code="keys_unavailable"
            )
        found = _TOKEN.fullmatch(token)
        if found is None or not hmac.compare_digest(found[4], self._sign("session", token[: found.start(4) - 1])):
            raise Unauthenticated(f"This session is not one of this gateway. {_AGAIN}")
        if now >= int(found[2]):
            raise Unauthenticated(f"This session has ended. {_AGAIN}")
        record = ring.record(found[1])
        if record is None or record.revoked_at is not None:
            raise Unauthenticated("The key of this session was revoked. Sign in with another.")
        if record.expires_at is not None and now >= record.expires_at:
            raise Unauthenticated("The key of this session has expired. Sign in with another.")
        if not any(hmac.compare_digest(found[3], self._fingerprint(digest)) for digest in _live(record, now)):
            raise Unauthenticated("The key of this session was rotated. Sign in with the new one.")
        return record

    def form_token(self, token: str) -> str:
        """What a form of this session carries, so that a form of another site is not taken for one."""
        return self._sign("form", token)

    def knows_form(self, token: str, sent: str) -> bool:
        """Whether `sent` is the form token of this session."""
        return hmac.compare_digest(self._sign("form", token).encode(), sent.encode("utf-8", "replace"))

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.digest(self._key, f"{purpose}\0{text}".encode(), "sha256").hex()

    def _fingerprint(self, digest: bytes) -> str:
        return hmac.digest(self._key, b"secret\0" + digest, "sha256")[:16].hex()


def _live(record: KeyRecord, now: int) -> Iterator[bytes]:
    """The hashes of the secrets that open a key at `now`."""
    yield record.digest
    for former in record.former:
        if now < former.valid_until:
            yield former.digest
