"""Providers that speak OpenAI's wire format, by name: where they are, which variable holds the key, what differs.

A provider of the configuration that names a `preset` takes from here what it does not say itself. Each row names the
page that describes it, as far as copies of those pages could be read in November 2026; no provider was called.
`ask_stream_usage` is off where a provider refuses `stream_options` or sends usage with every stream anyway: the body
then goes out as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    """What is known about one provider. `env` is the variable of its key; `models` are patterns of its own names.

    Without `env` the server needs no key; it then runs on this machine, and `allow_private` lets it be reached.
    """

    base_url: str
    source: str
    env: str | None = None
    ask_stream_usage: bool = True
    allow_private: bool = False
    models: tuple[str, ...] = ()
    note: str = ""


PRESETS: Mapping[str, Preset] = {
    "openai": Preset(
        base_url="https://api.openai.com/v1",
        source="https://platform.openai.com/docs/api-reference",
        env="OPENAI_API_KEY",
        models=(
            "gpt-*",
            "o1*",
            "o3*",
            "o4*",
            "chatgpt-*",
            "text-embedding-*",
            "omni-moderation-*",
            "dall-e-*",
            "gpt-image-*",
            "tts-*",
            "whisper-*",
        ),
    ),
    "anthropic": Preset(
        base_url="https://api.anthropic.com/v1",
        source="https://platform.claude.com/docs/en/api/openai-sdk",
        env="ANTHROPIC_API_KEY",
        models=("claude-*",),
        note="Its OpenAI-compatible endpoint: chat completions only; `strict` and prompt caching are not in it.",
    ),
    "gemini": Preset(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        source="https://ai.google.dev/gemini-api/docs/openai",
        env="GEMINI_API_KEY",
        models=("gemini-*",),
        note="Its OpenAI-compatible endpoint.",
    ),
    "mistral": Preset(
        base_url="https://api.mistral.ai/v1",
        source="https://docs.mistral.ai/resources/migration-guides",
        env="MISTRAL_API_KEY",
        ask_stream_usage=False,
        models=("mistral-*", "ministral-*", "magistral-*", "codestral-*", "devstral-*", "pixtral-*", "voxtral-*"),
        note="Answers `stream_options.include_usage` with 422; the last chunk of a stream has the usage anyway.",
    ),
    "groq": Preset(
        base_url="https://api.groq.com/openai/v1",
        source="https://console.groq.com/docs/openai",
        env="GROQ_API_KEY",
        note="Refuses `logprobs`, `logit_bias` and `n` other than 1.",
    ),
    "together": Preset(
        base_url="https://api.together.ai/v1",
        source="https://docs.together.ai/docs/inference/openai-compatibility",
        env="TOGETHER_API_KEY",
    ),
    "fireworks": Preset(
        base_url="https://api.fireworks.ai/inference/v1",
        source="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        env="FIREWORKS_API_KEY",
        models=("accounts/fireworks/*",),
    ),
    "deepseek": Preset(
        base_url="https://api.deepseek.com",
        source="https://api-docs.deepseek.com",
        env="DEEPSEEK_API_KEY",
        models=("deepseek-*",),
        note="No `/v1` in its paths.",
    ),
    "xai": Preset(
        base_url="https://api.x.ai/v1",
        source="https://docs.x.ai/api",
        env="XAI_API_KEY",
        models=("grok-*",),
    ),
    "openrouter": Preset(
        base_url="https://openrouter.ai/api/v1",
        source="https://openrouter.ai/docs/client-sdks/python/components/chatstreamoptions",
        env="OPENROUTER_API_KEY",
        ask_stream_usage=False,
        note="Every stream ends with usage; `include_usage` has no effect there and is to be removed.",
    ),
    "cerebras": Preset(
        base_url="https://api.cerebras.ai/v1",
        source="https://inference-docs.cerebras.ai/resources/openai",
        env="CEREBRAS_API_KEY",
        note="Refuses `frequency_penalty`, `presence_penalty`, `logit_bias` and `service_tier`.",
    ),
    "perplexity": Preset(
        base_url="https://api.perplexity.ai",
        source="https://docs.perplexity.ai/docs/sonar/openai-compatibility",
        env="PERPLEXITY_API_KEY",
        ask_stream_usage=False,
        models=("sonar*",),
        note="No `/v1` in its paths; every chunk of a stream has the usage so far.",
    ),
    "nvidia": Preset(
        base_url="https://integrate.api.nvidia.com/v1",
        source="https://build.nvidia.com",
        env="NVIDIA_API_KEY",
    ),
    "ollama": Preset(
        base_url="http://127.0.0.1:11434/v1",
        source="https://docs.ollama.com/api/openai-compatibility",
        allow_private=True,
        note="On this machine; needs no key.",
    ),
    "vllm": Preset(
        base_url="http://127.0.0.1:8000/v1",
        source="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        allow_private=True,
        note="On this machine; needs a key only when started with `--api-key`.",
    ),
}


def fill(provider: Mapping[str, Any]) -> dict[str, Any]:
    """A provider as the file has it, with what it left to its preset. The key becomes `${VARIABLE}`, still unread.

    What the file says wins, an explicit `null` included. An unknown preset is left for validation to refuse.
    """
    name = provider.get("preset")
    preset = PRESETS.get(name) if isinstance(name, str) else None
    if preset is None:
        # An unknown preset is one fault; that nobody filled in its address would be a second for the same slip.
        return ({"base_url": "https://preset.invalid"} if isinstance(name, str) else {}) | dict(provider)
    implied: dict[str, Any] = {
        "base_url": preset.base_url,
        "ask_stream_usage": preset.ask_stream_usage,
        # A preset's own address may be private; another address in its place has to say so itself.
        "allow_private": preset.allow_private and "base_url" not in provider,
    }
    if preset.env is not None:
        implied["api_key"] = f"${{{preset.env}}}"
    return implied | dict(provider)
