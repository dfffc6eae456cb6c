"""Access tokens of Google Cloud for Vertex AI, by google-auth, an optional extra.

Credentials are a service account's key in a file, or the default ones: what `GOOGLE_APPLICATION_CREDENTIALS` names (a
workload identity's configuration, too), gcloud's, the machine's own service account. A token lasts an hour and is
fetched anew five minutes before its end, in a thread. The Gemini API takes a key instead.
Source: https://cloud.google.com/docs/authentication/application-default-credentials.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from typing import Any

from gateway.providers import extras
from gateway.providers.expiring import Expiring, Fetched

Headers = list[tuple[bytes, bytes]]

_load = partial(extras.load, package="google-auth", extra="vertex", purpose="getting access tokens for Vertex AI")

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

TIMEOUT_S = 10.0
"""Seconds for one answer of the token server."""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; the project that the credentials belong to, and the one that is charged, where they say so."""

    text: str = field(repr=False)
    project: str = ""
    quota_project: str = ""


class Tokens:
    """Tokens of one credential. Raises `MissingExtra` where google-auth is not installed."""

    def __init__(self, credentials_file: str | None = None) -> None:
        self._auth = _load("google.auth")
        self._transport = _load("google.auth.transport.requests")
        self._file = credentials_file
        self._credentials: Any = None
        self._project = ""
        self._kept = Expiring(self._fetch, "an access token of Google's")

    async def get(self) -> Token:
        """A token that is good for some time. Raises `Unreachable`."""
        return await self._kept.get()

    async def headers(self) -> Headers:
        """What a request is to be sent with. Raises `Unreachable`."""
        token = await self._kept.get()
        headers = [(b"authorization", b"Bearer " + token.text.encode())]
        if token.quota_project:
            headers.append((b"x-goog-user-project", token.quota_project.encode()))
        return headers

    def _fetch(self) -> Fetched[Token]:
        """Ask Google. Blocks."""
        if self._credentials is None:
            if self._file is None:
                self._credentials, project = self._auth.default(scopes=SCOPES)
            else:
                account = _load("google.oauth2.service_account").Credentials
                self._credentials = account.from_service_account_file(self._file, scopes=SCOPES)
                project = self._credentials.project_id
            self._project = project or ""
        credentials = self._credentials
        credentials.refresh(partial(self._transport.Request(), timeout=TIMEOUT_S))
        token = Token(credentials.token, self._project, getattr(credentials, "quota_project_id", None) or "")
        # google-auth tells the end in UTC without saying so
        return Fetched(token, credentials.expiry.replace(tzinfo=UTC).timestamp())
