"""One deployment of a LiteLLM file as a provider of ours: which server its model's prefix means, and with which key.

The prefixes and variables are LiteLLM's own (https://docs.litellm.ai/docs/providers), as far as copies of those pages
could be read in November 2026. What this version has no kind of provider for (Bedrock, Vertex AI and the like) is
still worked out, and told apart by `is_served`, so that nothing that the file says is lost on the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from gateway.config.hosts import is_internal
from gateway.config.presets import PRESETS
from gateway.config.routes import HeaderName

Note = Callable[[str, str], None]
"""(parameter, what is wrong with it)"""


@dataclass(frozen=True, slots=True)
class _Server:
    """What a prefix means. `env` is the variable that LiteLLM reads a key from if the file names none."""

    preset: str | None = None
    env: str | None = None
    path: str = ""
    """What our address has behind LiteLLM's."""


_SERVERS: Final[Mapping[str, _Server]] = {
    "openai": _Server("openai", "OPENAI_API_KEY"),
    "text-completion-openai": _Server("openai", "OPENAI_API_KEY"),
    "anthropic": _Server("anthropic", "ANTHROPIC_API_KEY"),
    "gemini": _Server("gemini", "GEMINI_API_KEY"),
    "mistral": _Server("mistral", "MISTRAL_API_KEY"),
    "groq": _Server("groq", "GROQ_API_KEY"),
    "together_ai": _Server("together", "TOGETHERAI_API_KEY"),
    "fireworks_ai": _Server("fireworks", "FIREWORKS_AI_API_KEY"),
    "deepseek": _Server("deepseek", "DEEPSEEK_API_KEY"),
    "xai": _Server("xai", "XAI_API_KEY"),
    "openrouter": _Server("openrouter", "OPENROUTER_API_KEY"),
    "cerebras": _Server("cerebras", "CEREBRAS_API_KEY"),
    "perplexity": _Server("perplexity", "PERPLEXITYAI_API_KEY"),
    "nvidia_nim": _Server("nvidia", "NVIDIA_NIM_API_KEY"),
    "ollama": _Server("ollama", path="/v1"),
    "ollama_chat": _Server("ollama", path="/v1"),
    "hosted_vllm": _Server("vllm"),
    "vllm": _Server("vllm"),
    "custom_openai": _Server(),
    "openai_like": _Server(),
    "litellm_proxy": _Server(),
    "lm_studio": _Server(),
    "llamafile": _Server(),
    "xinference": _Server(),
}
_LATER: Final = frozenset(
    "ai21 aiohttp_openai azure_ai azure_text baseten bedrock bedrock_converse bedrock_mantle clarifai cloudflare "
    "codestral cohere cohere_chat dashscope databricks datarobot deepinfra empower featherless_ai friendliai "
    "galadriel github github_copilot huggingface jina_ai maritalk meta_llama moonshot nebius nlp_cloud novita oci "
    "petals predibase replicate sagemaker sagemaker_chat sambanova snowflake topaz triton vertex_ai "
    "vertex_ai_beta volcengine voyage watsonx watsonx_text".split()
)
_KINDS: Final[Mapping[str, str]] = {
    "bedrock_converse": "bedrock",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
}
"""What LiteLLM calls otherwise than the rest of this gateway."""
_NO_KEY: Final = frozenset(
    ("", "none", "null", "empty", "dummy", "fake", "na", "n/a", "anything", "not-needed", "no-key")
)
_PLACES: Final[Mapping[str, str]] = {
    "aws_region_name": "region",
    "aws_role_name": "role",
    "aws_profile_name": "profile",
    "aws_bedrock_runtime_endpoint": "base_url",
    "vertex_project": "project",
    "vertex_location": "location",
    "region_name": "region",
    "api_version": "api_version",
}
"""Parameters that say where a provider is and are no secrets."""

_HEADER: Final = TypeAdapter(HeaderName)
_ENV = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Made:
    """A provider: `label` is a name for it, `section` as it stands under `providers`, `model` as the provider calls it.

    `used` are the parameters that went into it. `is_served` False: this version has no such kind.
    """

    label: str
    section: dict[str, Any]
    model: str
    used: frozenset[str]
    is_served: bool = True


def text_of(value: Any) -> Any:
    """A value as our file has it: `os.environ/NAME` becomes `${NAME}`, and a `${` that was there stays text."""
    if not isinstance(value, str):
        return value
    found = _ENV.fullmatch(value.strip())
    return f"${{{found[1]}}}" if found is not None else value.replace("${", "$${")


def provider_of(params: Mapping[str, Any], note: Note) -> Made | None:
    """The provider of one `litellm_params`; None if its model does not tell which. `note` hears of what is left out."""
    model = params["model"]
    prefix, rest = _split(model, params)
    if prefix is None:
        return None
    base = _base(params)
    if base is not None and "$" not in base and not base.startswith(("http://", "https://")):
        note("api_base", "is not an address; it should begin with https:// or http://")
        return None
    if prefix == "azure":
        return _azure(params, rest, note)
    if prefix in _SERVERS:
        return _openai(prefix, _SERVERS[prefix], params, rest, note)
    return _later(prefix, params, rest)


def _split(model: str, params: Mapping[str, Any]) -> tuple[str | None, str]:
    """LiteLLM's name of the provider, and the model's name there."""
    head, slash, rest = model.partition("/")
    if head == "os.environ":
        return None, model
    known = head in _SERVERS or head in _LATER or head == "azure"
    named = params.get("custom_llm_provider")
    if isinstance(named, str) and named:
        return named, rest if slash and head == named else model
    if slash and known:
        return head, rest
    for name, server in _SERVERS.items():
        patterns = PRESETS[server.preset].models if server.preset is not None else ()
        if any(fnmatchcase(model, pattern) for pattern in patterns):
            return name, model
    if params.get("api_base") or params.get("base_url"):
        return "openai", model
    return (head, rest) if slash and rest else (None, model)


def _openai(prefix: str, server: _Server, params: Mapping[str, Any], model: str, note: Note) -> Made | None:
    section: dict[str, Any] = {}
    base = _base(params)
    if base is None and server.preset is None:
        note("model", f"`{prefix}` says nothing without an `api_base`")
        return None
    # behind `openai/` with an address of its own may be any server: none of the preset's habits are known of it
    if server.preset is not None and not (base and prefix in ("openai", "text-completion-openai")):
        section["preset"] = server.preset
    if base is not None:
        section["base_url"] = base if base.endswith(server.path) else base + server.path
        if "$" not in base and is_internal(urlsplit(base).hostname or ""):
            section["allow_private"] = True
    preset = PRESETS.get(section.get("preset", ""))
    key = _key(params, prefix, note) if params.get("api_key") is not None else None
    if params.get("api_key") is None and base is None and server.env is not None:
        key = f"${{{server.env}}}"
    if key is not None and (preset is None or key != f"${{{preset.env}}}"):
        section["api_key"] = key
    if headers := _headers(params, note):
        section["headers"] = headers
        if "authorization" in headers:  # it says what the key would, and may not stand beside it
            section["api_key"] = None
    used = frozenset(("api_base", "base_url", "api_key", "organization", "extra_headers", "headers"))
    return Made(_label(prefix, base), section, model, used)


def _azure(params: Mapping[str, Any], model: str, note: Note) -> Made:
    """Azure's v1 API speaks as OpenAI's does, with the deployment as the model and no version to name.

    Source: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle.
    """
    base = _base(params) or "${AZURE_API_BASE}"
    base = re.sub(r"/openai(/.*)?$", "", base) + "/openai/v1"
    headers = _headers(params, note)
    if params.get("azure_ad_token") is not None:
        headers["authorization"] = (
            f"Bearer {_secret(params['azure_ad_token'], 'AZURE_AD_TOKEN', 'azure_ad_token', note)}"
        )
    else:
        headers["api-key"] = _key(params, "azure", note) or "${AZURE_API_KEY}"
    if params.get("api_version") is not None:
        note("api_version", "Azure's v1 API is used, which has no versions; try a call before you rely on it")
    used = frozenset(
        ("api_base", "base_url", "api_key", "azure_ad_token", "api_version", "organization", "extra_headers", "headers")
    )
    return Made(_label("azure", base), {"base_url": base, "headers": headers}, model, used)


def _later(prefix: str, params: Mapping[str, Any], model: str) -> Made:
    kind = _KINDS.get(prefix, prefix)
    section: dict[str, Any] = {"kind": kind}
    used = set()
    for name, ours in _PLACES.items():
        if params.get(name) is not None:
            section[ours] = text_of(params[name])
            used.add(name)
    if (base := _base(params)) is not None:
        section["base_url"] = base
    where = section.get("region") or section.get("location")
    label = f"{kind}-{where}" if isinstance(where, str) and "$" not in where else kind
    return Made(label, section, model, frozenset(used | {"api_base", "base_url"}), is_served=False)


def _base(params: Mapping[str, Any]) -> str | None:
    found = params.get("api_base") or params.get("base_url")
    return str(text_of(found)).rstrip("/") if isinstance(found, str) else None


def _key(params: Mapping[str, Any], prefix: str, note: Note) -> str | None:
    key = params.get("api_key")
    if not isinstance(key, str) or key.strip().lower() in _NO_KEY:
        return None
    return _secret(key, re.sub(r"[^A-Z0-9]", "_", prefix.upper()) + "_API_KEY", "api_key", note)


def _secret(value: Any, variable: str, name: str, note: Note) -> str:
    """A secret by its variable. One that stands in the file itself is not copied: that is how they get about."""
    text = text_of(value)
    if isinstance(text, str) and _ENV.fullmatch(str(value).strip()):
        return text
    note(name, f"the secret itself stands here and is not copied; put it into the variable {variable}")
    return f"${{{variable}}}"


def _headers(params: Mapping[str, Any], note: Note) -> dict[str, str]:
    headers: dict[str, str] = {}
    organization = params.get("organization")
    if isinstance(organization, str):
        headers["openai-organization"] = str(text_of(organization))
    elif organization is not None:
        note("organization", "several organizations need a provider each, with its own `OpenAI-Organization` header")
    for name in ("extra_headers", "headers"):
        given = params.get(name)
        for key, value in given.items() if isinstance(given, dict) else ():
            try:
                ours = _HEADER.validate_python(key)
            except ValidationError:
                note(name, f"`{key}` is no header that can be set here")
                continue
            headers[ours] = _header(ours, value, name, note)
    return headers


def _header(header: str, value: Any, name: str, note: Note) -> str:
    if not re.search("auth|cookie|key|secret|token", header):
        return str(text_of(value))
    return _secret(value, re.sub(r"[^A-Z0-9]", "_", header.upper()), name, note)


def _label(prefix: str, base: str | None) -> str:
    """A name for the provider: with the first part of its host where the file gives an address of a name."""
    host = urlsplit(base).hostname if base is not None and "$" not in base else None
    first = (host or "").split(".")[0]
    if not first or first.isdigit() or first in ("api", "localhost", "www") or ":" in first:
        return prefix
    return f"{prefix}-{first}"
