"""Signs requests to AWS (Signature Version 4) by botocore, an optional extra.

Credentials are those given, or what botocore's chain finds: environment, profiles, SSO, a container's or an instance's
role. Finding and refreshing them may ask files and servers, so it happens in a thread, ahead of time.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. An API key of Bedrock's needs none of
this: it goes as `Authorization: Bearer`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gateway.providers import extras
from gateway.providers.expiring import Expiring, Fetched

Headers = list[tuple[bytes, bytes]]

_load = partial(extras.load, package="botocore", extra="bedrock", purpose="signing requests to AWS")

KEPT_S = 600.0
"""Seconds that credentials of the chain are kept: botocore renews them a quarter of an hour before they end."""

LOOK_S = 60.0
"""Seconds after which botocore is asked again whether it has new ones."""

LARGE_BODY = 256 * 1024
"""Bytes of a body from which on it is hashed in a thread: below, that takes less than the way there and back."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key of AWS's. `token` belongs to temporary ones."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class Signer:
    """Signs for one region and service. Raises `MissingExtra` where botocore is not installed."""

    def __init__(
        self,
        region: str,
        *,
        credentials: Credentials | None = None,
        profile: str | None = None,
        service: str = "bedrock",
    ) -> None:
        self._region = region
        self._service = service
        self._auth = _load("botocore.auth")
        self._request = _load("botocore.awsrequest").AWSRequest
        self._given = credentials
        self._chain: Any = None
        self._profile = profile
        self._kept = Expiring(self._find, "AWS credentials", early_s=KEPT_S - LOOK_S)

    async def headers(self, method: str, url: str, body: bytes, headers: Headers) -> Headers:
        """`headers` and those that sign the request; they must be sent as they are, and `url` as it stands (its path
        percent-encoded). Host, user agent and the framing are added by whoever sends. Raises `Unreachable`."""
        credentials = self._given if self._given is not None else await self._kept.get()
        if len(body) >= LARGE_BODY:
            return await asyncio.to_thread(self.sign, credentials, method, url, body, headers)
        return self.sign(credentials, method, url, body, headers)

    def sign(self, credentials: Credentials, method: str, url: str, body: bytes, headers: Headers) -> Headers:
        """See `headers`."""
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        request = self._request(method=method, url=url, data=body, headers=given)
        self._auth.SigV4Auth(credentials, self._service, self._region).add_auth(request)
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()]

    def _find(self) -> Fetched[Credentials]:
        """Ask the chain. Blocks."""
        if self._chain is None:
            session = _load("botocore.session").Session(profile=self._profile)
            self._chain = session.get_credentials()
        if self._chain is None:
            raise LookupError("botocore found no AWS credentials: neither in the environment, a profile nor a role")
        found = self._chain.get_frozen_credentials()
        return Fetched(Credentials(found.access_key, found.secret_key, found.token), time.time() + KEPT_S)
