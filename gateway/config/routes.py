"""The `providers` and `models` sections: who serves, and under which names.

A model's name may end in `*` and then stands for all names that begin so; an exact name wins over a pattern, a longer
pattern over a shorter. A `*` at the end of a deployment's model stands for what the name's `*` matched: under
`openai/*` the model `*` drops the prefix, under `gpt-*` the model `gpt-*` passes the name on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from gateway.access.keys import PREFIX
from gateway.config.base import (
    FilePath,
    Label,
    ModelName,
    Number,
    Seconds,
    Secret,
    Section,
    Whole,
    optional,
    subsection,
    wrong,
)
from gateway.config.hosts import is_private
from gateway.config.presets import PRESETS
from gateway.config.words import did_you_mean

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset(
    "accept-encoding connection content-length content-type expect host keep-alive proxy-authorization "
    "proxy-connection te trailer transfer-encoding upgrade user-agent".split()
)


def _base_url(url: str) -> str:
    """`url` in its one form: lower-case scheme and host, no slash at the end. No message repeats it: it may hold
    a password."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise wrong("should be a plain ASCII address without spaces (a host of other letters in its xn-- form)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong("is not an address; it should look like https://api.example.com/v1") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong("should begin with https:// or http:// and a host")
    if "@" in parts.netloc:
        raise wrong("should hold no user name or password; the key belongs in `api_key`")
    if "?" in url or "#" in url:
        raise wrong("should hold no query and no fragment; headers belong in `headers`")
    path = parts.path.rstrip("/")
    if {".", ".."} & set(path.split("/")):
        raise wrong("should hold no `.` or `..` in its path")
    if path.endswith("/completions"):
        raise wrong("should end before /chat/completions or /completions; the gateway adds the endpoint itself")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise wrong(f"should be one of {', '.join(PRESETS)}{did_you_mean(name, PRESETS)}")
    return name


def _header_name(name: str) -> str:
    lower = name.lower()
    if not _TOKEN.fullmatch(name):
        raise wrong("is not the name of a header")
    if lower in _OURS:
        raise wrong(f"the gateway sets `{lower}` itself")
    return lower


def _provider_key(key: Secret) -> Secret:
    if key.get_secret_value().startswith(PREFIX):
        raise wrong("that is a key of this gateway, not of the provider; put the provider's own key here")
    return key


def _always(value: object) -> object:
    if value is not True:
        raise wrong("certificates are always verified; name the authority that signed the server's in `ca_file`")
    return value


PresetName = Annotated[str, AfterValidator(_preset), WithJsonSchema({"type": "string", "enum": list(PRESETS)})]
HeaderName = Annotated[str, AfterValidator(_header_name)]


class UpstreamTls(Section):
    """TLS towards one provider."""

    ca_file: FilePath | None = None
    """Authorities to believe besides the system's, PEM."""
    verify: Annotated[Literal[True], BeforeValidator(_always)] = True
    """Always on."""


class OpenAIProvider(Section):
    """A server that speaks OpenAI's API."""

    model_config = ConfigDict(json_schema_extra=optional("base_url"))

    kind: Literal["openai"] = "openai"
    """Which API it speaks."""
    preset: PresetName | None = None
    """A known provider, whose address, key variable and habits are taken where not given here."""
    base_url: Annotated[str, AfterValidator(_base_url)]
    """The address before /chat/completions."""
    api_key: Annotated[Secret, AfterValidator(_provider_key)] | None = None
    """Sent as `Authorization: Bearer`; none is sent without it."""
    headers: Mapping[HeaderName, Secret] = Field(default_factory=dict)
    """Further headers of every request, such as `api-key` or `OpenAI-Organization`; never printed."""
    allow_private: bool = False
    """Whether its name may lead to this machine or a private network."""
    ask_stream_usage: bool = True
    """Whether to ask for usage in streams whose client did not, and to take the extra chunk out again."""
    region: Label | None = None
    """Where it serves, for prices that differ by region."""
    max_connections: Annotated[Whole, Field(ge=1, le=65_535)] = 1_000
    """Connections of one worker at most; a call beyond them counts as unreachable and goes elsewhere."""
    tls: UpstreamTls = subsection()

    @model_validator(mode="after")
    def _one_key(self) -> OpenAIProvider:
        if self.api_key is not None and "authorization" in self.headers:
            raise wrong("`api_key` and the header `authorization` say the same thing; keep one")
        return self

    @model_validator(mode="after")
    def _reachable(self) -> OpenAIProvider:
        host = urlsplit(self.base_url).hostname or ""
        if is_private(host) and not self.allow_private:
            raise wrong("`base_url` leads to this machine or a private network, which needs `allow_private: true`")
        return self


class ScriptedProvider(Section):
    """Plays a script instead of calling anybody: for demonstrations and tests."""

    kind: Literal["scripted"] = "scripted"
    """Which API it speaks."""
    script: FilePath | None = None
    """The script, YAML; the built-in one if not given."""


Provider = Annotated[OpenAIProvider | ScriptedProvider, Field(discriminator="kind")]


class Deployment(Section):
    """One provider's address of a model."""

    model_config = ConfigDict(json_schema_extra=optional("model"))

    provider: Label
    """A name under `providers`."""
    model: ModelName
    """What the provider calls it; as the model's own name if not given."""
    weight: Annotated[Number, Field(ge=0, le=1_000_000)] = 1.0
    """Its share of the calls, against the weights beside it; 0 takes it out."""


class Timeouts(Section):
    """How long one attempt may take.

    The defaults suit models that think: an answer that is not streamed sends its first byte when all of it is
    written, and a reasoning model is silent in mid-stream. Clients wait 600 s by default (OpenAI's own library), so a
    shorter `total` would fail calls that nobody had given up.
    """

    connect: Seconds = 2.0
    """Seconds for name, connection and TLS."""
    first_byte: Seconds = 300.0
    """Seconds from the end of the request to the first byte of the answer."""
    idle: Seconds = 120.0
    """Seconds without a byte in mid-answer."""
    total: Seconds = 900.0
    """Seconds for all of it."""


class Model(Section):
    """What one name stands for."""

    deployments: Annotated[tuple[Deployment, ...], Field(min_length=1)]
    """Where calls go, by weight."""
    fallbacks: tuple[ModelName, ...] = ()
    """Models to try, in this order, when no deployment can be reached or all answer 5xx before the first byte."""
    timeouts: Timeouts = subsection()
    max_output_tokens: Annotated[Whole, Field(ge=1, le=10_000_000)] | None = None
    """The most tokens that an answer has; held in budgets for requests that name no limit (16,384 if not given)."""

    @model_validator(mode="after")
    def _one_way_at_least(self) -> Model:
        if not any(deployment.weight for deployment in self.deployments):
            raise wrong("all weights are 0, so no deployment would ever be used")
        pairs = [(deployment.provider, deployment.model) for deployment in self.deployments]
        for pair in pairs:
            if pairs.count(pair) > 1:
                raise wrong(f"the deployment {pair[0]}/{pair[1]} stands here twice; add the weights up in one")
        return self
