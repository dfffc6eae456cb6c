"""The section `webhooks`: who wants to be told of what, and how a receiver knows that it was us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema, model_validator

from gateway.config.base import Number, Secret, Section, wrong
from gateway.config.hosts import is_private
from gateway.config.routes import HeaderName
from gateway.config.words import did_you_mean
from gateway.webhooks import Endpoint
from gateway.webhooks.endpoint import fits
from gateway.webhooks.events import TYPES
from gateway.webhooks.signing import parse_secret

_TOLD: Final = tuple(one for one in TYPES if one != "webhook.test")


def _url(text: str) -> str:
    """A message never repeats it: the addresses of chat systems hold tokens."""
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise wrong("should be a plain ASCII address without spaces (a host of other letters in its xn-- form)")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong("is not an address; it should look like https://example.com/hooks/gateway") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong("should begin with https:// or http:// and a host")
    if "@" in parts.netloc:
        raise wrong("should hold no user name or password; what the receiver asks for belongs in `headers`")
    if "#" in text:
        raise wrong("should hold no fragment")
    return text


def _signing(secret: SecretStr) -> SecretStr:
    try:
        parse_secret(secret.get_secret_value())
    except ValueError as error:
        raise wrong(str(error)) from None
    return secret


def _pattern(text: str) -> str:
    if "*" in text[:-1] or not any(fits(text, one) for one in _TOLD):
        raise wrong(f"should be one of {', '.join(_TOLD)}, or begin like one and end in `*`{did_you_mean(text, _TOLD)}")
    return text


def _free(name: str) -> str:
    if name.startswith("webhook-"):
        raise wrong(f"the gateway sets `{name}` itself")
    return name


def _address(value: object) -> object:
    if not isinstance(value, str):
        raise wrong("should be text; put it in quotes")  # and not the value: it may be half of a token
    return value


SigningSecret = Annotated[Secret, AfterValidator(_signing)]
Url = Annotated[str, BeforeValidator(_address), AfterValidator(_url), WithJsonSchema({"type": "string"})]


class Webhook(Section):
    """One address that is told of events."""

    url: Url
    """Where events are posted; https, or http where `allow_private` says that it is near."""
    secret: SigningSecret
    """Signs what is sent: `whsec_` and the base64 of 24 to 64 random bytes."""
    previous_secret: SigningSecret | None = None
    """While the receiver learns a new secret: the one before, which then signs as well."""
    events: Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], Field(min_length=1)] = ("*",)
    """Types of events, or the beginnings of types and `*`."""
    allow_private: bool = False
    """Whether its name may lead to this machine or a private network."""
    headers: Mapping[Annotated[HeaderName, AfterValidator(_free)], Secret] = Field(default_factory=dict)
    """Further headers of every request; never printed."""
    timeout: Annotated[Number, Field(gt=0, le=60)] = 10.0
    """Seconds to connect, and again for the answer."""

    @model_validator(mode="after")
    def _reachable(self) -> Webhook:
        if not self.allow_private:
            parts = urlsplit(self.url)
            if is_private(parts.hostname or ""):
                raise wrong("`url` leads to this machine or a private network, which needs `allow_private: true`")
            if parts.scheme == "http":
                raise wrong("`url` is plain http, which needs `allow_private: true`; elsewhere use https")
        return self


def _once(found: tuple[Webhook, ...]) -> tuple[Webhook, ...]:
    for at, one in enumerate(found):
        if any(one.url == other.url for other in found[:at]):
            raise wrong(f"has one `url` twice, the second time in entry {at + 1}; put its `events` together")
    return found


def _list(value: Any) -> Any:
    return () if value in (None, {}) else value  # as long as the section was kept for later, `{}` was taken, too


Webhooks = Annotated[tuple[Webhook, ...], BeforeValidator(_list), AfterValidator(_once)]
"""The whole section."""


def endpoints(section: Sequence[Webhook]) -> tuple[Endpoint, ...]:
    """The section as what is sent to."""
    return tuple(
        Endpoint(
            one.url,
            tuple(
                parse_secret(secret.get_secret_value())
                for secret in (one.secret, one.previous_secret)
                if secret is not None
            ),
            one.events,
            one.allow_private,
            tuple((name.encode(), value.get_secret_value().encode()) for name, value in one.headers.items()),
            one.timeout,
        )
        for one in section
    )
