"""Signatures that a receiver can check, as the Standard Webhooks specification has them (https://www.standardwebhooks.com).

What is signed is `id.timestamp.body`, by HMAC-SHA-256, so that a body cannot be changed, an id not be moved to
another body, and an old request not be sent again as a new one. While a secret is being replaced there are two, and a
signature by each: a receiver takes the request if it knows either.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

PREFIX: Final = "whsec_"
LEAST: Final = 24
MOST: Final = 64
"""Bytes of a secret, by the specification."""


def parse_secret(text: str) -> bytes:
    """`whsec_` and base64, or base64 alone, as bytes. Raises `ValueError`, whose message holds none of it."""
    encoded = text.removeprefix(PREFIX)
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("should be `whsec_` and base64; make one by: echo whsec_$(openssl rand -base64 32)") from None
    if not LEAST <= len(secret) <= MOST:
        raise ValueError(f"should stand for {LEAST} to {MOST} bytes, and is {len(secret)}")
    return secret


def sign(secrets: Iterable[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one `v1,...` for each secret. `timestamp` in epoch seconds."""
    signed = b"%b.%d.%b" % (id.encode(), timestamp, body)
    return " ".join("v1," + base64.b64encode(hmac.digest(one, signed, hashlib.sha256)).decode() for one in secrets)
