"""What each kind of provider is, as data: the dialects it speaks and where, its headers, how it is paid its key, what
its errors mean. Nothing here sends anything.

Paths are templates: `{model}` is the model's name, the others are settings of the provider (`project`, `location`,
`region`, `api_version`), each percent-encoded as it is put in. They stand under the provider's base address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from gateway.model.conversation import Dialect
from gateway.providers import outcomes
from gateway.providers.outcomes import Outcome, Rule

Headers = list[tuple[bytes, bytes]]
Framing = Literal["sse", "eventstream"]
Auth = Literal["key", "google", "aws"]
"""How a request is authorized where no key is given: not at all, by `google.Tokens`, or by `aws.Signer`."""

_KEPT = {"endpoint": "/", "model": "@"}
"""Signs that stay as they are: Vertex AI writes a model's version after an @."""

_PLACE = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Key:
    """How a key is sent: the header, and what stands before the key in it."""

    header: str
    prefix: str = ""

    def headers(self, key: str) -> Headers:
        """The header that says `key`."""
        return [(self.header.encode(), f"{self.prefix}{key}".encode())]


BEARER = Key("authorization", "Bearer ")


@dataclass(frozen=True, slots=True)
class Spoken:
    """One dialect as a kind of provider speaks it.

    `key` is how a key is sent. `stream` is the path of streamed requests where it is another one. `headers` go with
    every request. `without` are members of the dialect's body that must not be in it (the path says them), `body`
    members that must. Where the client of the same dialect names a version itself, `headers` and `body` give way to it.
    """

    unary: str
    key: Key
    stream: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    without: tuple[str, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)
    framing: Framing = "sse"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of provider. `source` is where it is described.

    `base_url` is a template too, empty where every customer has an address of its own; `bases` are addresses that its
    place (`location`, `region`) has instead. `models` tell by the beginning of a model's name which dialects it can be
    asked in, the one that loses least first; the last has the empty beginning. `others` are paths of what is no
    dialect, by name; there `{endpoint}` is OpenAI's, such as `/embeddings`. `request_ids` are the headers in which it
    gives its own id for a request, the best first.
    """

    name: str
    source: str
    speaks: Mapping[Dialect, Spoken]
    models: tuple[tuple[str, tuple[Dialect, ...]], ...]
    rules: tuple[Rule, ...]
    base_url: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    request_ids: tuple[str, ...] = ()
    auth: Auth = "key"

    def dialects(self, model: str) -> tuple[Dialect, ...]:
        """The dialects in which `model` can be asked."""
        return next(dialects for start, dialects in self.models if model.startswith(start))

    def target(self, dialect: Dialect, model: str, *, stream: bool, **settings: str) -> str:
        """Path and query of a request. Raises `KeyError` for a dialect or a setting that is missing."""
        spoken = self.speaks[dialect]
        return fill(spoken.stream or spoken.unary if stream else spoken.unary, model=model, **settings)

    def other(self, name: str, **settings: str) -> str:
        """Path and query of what is no dialect. Raises `KeyError` if there is none, or a setting is missing."""
        return fill(self.others[name], **settings)

    def base(self, **settings: str) -> str:
        """The API's address, empty where there is none for all. Raises `KeyError` for a setting that is missing."""
        place = settings.get("location") or settings.get("region") or ""
        special = next((url for start, url in self.bases.items() if _is_place(place, start)), None)
        return fill(special or self.base_url, **settings)

    def headers(self, dialect: Dialect, key: str | None = None) -> Headers:
        """What goes with every request in `dialect`, the key included where there is one."""
        spoken = self.speaks[dialect]
        fixed = [(name.encode(), value.encode()) for name, value in spoken.headers]
        return fixed + (spoken.key.headers(key) if key is not None else [])

    def classify(self, status: int, body: bytes = b"", headers: Headers | None = None) -> Outcome:
        """What a reply's status means, and its body where it is an error. Names of `headers` are in lower case."""
        error_type = next((value for name, value in headers or () if name == b"x-amzn-errortype"), None)
        return outcomes.classify(self.rules, status, body, error_type)

    def request_id(self, headers: Headers) -> str:
        """The provider's own id for a request, empty if it gave none. Names of `headers` are in lower case."""
        said = {name.decode("latin-1"): value for name, value in reversed(headers)}
        return next((said[name].decode("latin-1") for name in self.request_ids if name in said), "")


def fill(template: str, **values: str) -> str:
    """`template` with each value percent-encoded in its place; an `endpoint` keeps its slashes. Raises `KeyError`."""

    def value(place: re.Match[str]) -> str:
        name = place[1]
        return quote(values[name], safe=_KEPT.get(name, ""))

    return _PLACE.sub(value, template)


def _is_place(place: str, start: str) -> bool:
    """Whether `place` is `start`, or begins with it where that ends in a dash."""
    return place.startswith(start) if start.endswith("-") else place == start


_VERSION = (("anthropic-version", "2023-06-01"),)
_OPENAI_PATHS = {"openai": "{endpoint}"}
_GOOGLE = "/v1/projects/{project}/locations/{location}"
_ANY: tuple[tuple[str, tuple[Dialect, ...]], ...] = (("", ("chat",)),)

OPENAI = Kind(
    name="openai",
    source="https://platform.openai.com/docs/api-reference",
    base_url="https://api.openai.com/v1",
    speaks={"chat": Spoken("/chat/completions", BEARER), "responses": Spoken("/responses", BEARER)},
    models=(("", ("responses", "chat")),),
    rules=outcomes.OPENAI,
    others=_OPENAI_PATHS,
    request_ids=("x-request-id",),
)

COMPATIBLE = Kind(
    name="openai-compatible",
    source="https://platform.openai.com/docs/api-reference/chat",
    speaks={"chat": Spoken("/chat/completions", BEARER)},
    models=_ANY,
    rules=outcomes.OPENAI,
    others=_OPENAI_PATHS,
    request_ids=("x-request-id", "request-id"),
)

_AZURE_KEY = Key("api-key")
_FOUNDRY = Spoken("/anthropic/v1/messages", Key("x-api-key"), headers=_VERSION)
_AZURE_IDS = ("apim-request-id", "x-request-id", "request-id")

AZURE = Kind(
    name="azure",
    source="https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
    speaks={
        "chat": Spoken("/openai/v1/chat/completions", _AZURE_KEY),
        "responses": Spoken("/openai/v1/responses", _AZURE_KEY),
        "messages": _FOUNDRY,
    },
    models=(("claude", ("messages",)), ("", ("responses", "chat"))),
    rules=outcomes.OPENAI,
    others={"openai": "/openai/v1{endpoint}"},
    request_ids=_AZURE_IDS,
)
"""Its API without versions; `model` is a deployment's name. A token of Entra's goes as `authorization`."""

AZURE_DEPLOYMENTS = Kind(
    name="azure-deployments",
    source="https://learn.microsoft.com/azure/ai-foundry/openai/reference",
    speaks={
        "chat": Spoken("/openai/deployments/{model}/chat/completions?api-version={api_version}", _AZURE_KEY),
        "responses": Spoken("/openai/responses?api-version={api_version}", _AZURE_KEY),
        "messages": _FOUNDRY,
    },
    models=(("claude", ("messages",)), ("", ("chat", "responses"))),
    rules=outcomes.OPENAI,
    others={"openai": "/openai/deployments/{model}{endpoint}?api-version={api_version}"},
    request_ids=_AZURE_IDS,
)
"""Its older API, of dated versions, with the deployment in the path."""

ANTHROPIC = Kind(
    name="anthropic",
    source="https://platform.claude.com/docs/en/api/overview",
    base_url="https://api.anthropic.com",
    speaks={"messages": Spoken("/v1/messages", Key("x-api-key"), headers=_VERSION)},
    models=(("", ("messages",)),),
    rules=outcomes.ANTHROPIC,
    others={"count_tokens": "/v1/messages/count_tokens", "models": "/v1/models"},
    request_ids=("request-id",),
)

GEMINI = Kind(
    name="gemini",
    source="https://ai.google.dev/api",
    base_url="https://generativelanguage.googleapis.com",
    speaks={
        "gemini": Spoken(
            "/v1beta/models/{model}:generateContent",
            Key("x-goog-api-key"),
            "/v1beta/models/{model}:streamGenerateContent?alt=sse",
        )
    },
    models=(("", ("gemini",)),),
    rules=outcomes.GOOGLE,
    others={
        "count_tokens": "/v1beta/models/{model}:countTokens",
        "embed": "/v1beta/models/{model}:embedContent",
        "embed_batch": "/v1beta/models/{model}:batchEmbedContents",
        "models": "/v1beta/models",
    },
)
"""It gives no id in its headers: `responseId` in the body is all there is. A model has no `models/` before its name."""

VERTEX = Kind(
    name="vertex",
    source="https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest",
    base_url="https://{location}-aiplatform.googleapis.com",
    bases={
        "global": "https://aiplatform.googleapis.com",
        "us": "https://aiplatform.us.rep.googleapis.com",
        "eu": "https://aiplatform.eu.rep.googleapis.com",
    },
    speaks={
        "gemini": Spoken(
            _GOOGLE + "/publishers/google/models/{model}:generateContent",
            BEARER,
            _GOOGLE + "/publishers/google/models/{model}:streamGenerateContent?alt=sse",
        ),
        "messages": Spoken(
            _GOOGLE + "/publishers/anthropic/models/{model}:rawPredict",
            BEARER,
            _GOOGLE + "/publishers/anthropic/models/{model}:streamRawPredict",
            without=("model",),
            body={"anthropic_version": "vertex-2023-10-16"},
        ),
        "chat": Spoken(_GOOGLE + "/endpoints/openapi/chat/completions", BEARER),
    },
    models=(("claude", ("messages",)), ("gemini", ("gemini",)), ("", ("chat",))),
    rules=(*outcomes.GOOGLE, *outcomes.ANTHROPIC),
    others={
        "count_tokens": _GOOGLE + "/publishers/google/models/{model}:countTokens",
        "count_tokens_messages": _GOOGLE + "/publishers/anthropic/models/count-tokens:rawPredict",
        "predict": _GOOGLE + "/publishers/google/models/{model}:predict",
    },
    request_ids=("request-id",),
    auth="google",
)
"""In chat completions a model has its publisher's name before its own: `meta/llama-4`, `google/gemini-2.5-pro`."""

BEDROCK = Kind(
    name="bedrock",
    source="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html",
    base_url="https://bedrock-runtime.{region}.amazonaws.com",
    bases={"cn-": "https://bedrock-runtime.{region}.amazonaws.com.cn"},
    speaks={
        "converse": Spoken("/model/{model}/converse", BEARER, "/model/{model}/converse-stream", framing="eventstream")
    },
    models=(("", ("converse",)),),
    rules=outcomes.AWS,
    others={"invoke": "/model/{model}/invoke"},
    request_ids=("x-amzn-requestid",),
    auth="aws",
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (OPENAI, COMPATIBLE, AZURE, AZURE_DEPLOYMENTS, ANTHROPIC, GEMINI, VERTEX, BEDROCK)
}
"""All kinds by name."""
