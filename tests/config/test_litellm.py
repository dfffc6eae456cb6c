"""A LiteLLM configuration as ours: what becomes of it, that it can be served, and what is told to be left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.litellm import Converted, convert
from gateway.config.presets import PRESETS
from gateway.config.settings import read
from gateway.errors import ConfigError

FILES = Path(__file__).parent / "litellm"
NAMES = ("small", "balanced", "clouds")


def converted(name: str) -> tuple[dict[str, Any], Converted]:
    found = convert((FILES / f"{name}.yaml").read_text(), f"{name}.yaml")
    return yaml.safe_load(found.text), found


def lines(found: Converted) -> list[str]:
    return [f"{one.line}: {one.message}" for one in found.left]


def given_one(params: dict[str, Any], name: str = "m", **entry: Any) -> tuple[dict[str, Any], list[str]]:
    """The configuration of one deployment, and what was left out."""
    data = {"model_list": [{"model_name": name, "litellm_params": params, **entry}]}
    found = convert(yaml.safe_dump(data))
    return yaml.safe_load(found.text), [one.message for one in found.left]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_can_be_served(name: str, tmp_path: Path) -> None:
    _, found = converted(name)
    path = tmp_path / "gateway.yaml"
    path.write_text(found.text)
    variables = [word.split("}")[0] for word in found.text.split("${")[1:]]
    variables += [preset.env for preset in PRESETS.values() if preset.env is not None]
    environ = {name: "https://x.example.com" if "BASE" in name else "secret" for name in variables}
    made, warnings = read(path, environ)
    assert made.models and not [one for one in warnings if "left out" in one]
    assert set(made.models) == set(yaml.safe_load(found.text)["models"])


@pytest.mark.parametrize("name", NAMES)
def test_every_line_that_is_told_is_one_of_the_file(name: str) -> None:
    text = (FILES / f"{name}.yaml").read_text().splitlines()
    for one in converted(name)[1].left:
        assert one.line is not None and 1 <= one.line <= len(text)
        key = one.message.split("`")[1].rstrip("]0123456789[").split(".")[-1]
        assert key in text[one.line - 1] or key == "model_list", one


def test_a_small_file() -> None:
    made, found = converted("small")
    assert made == {
        "providers": {
            "openai": {"preset": "openai"},
            "anthropic": {"preset": "anthropic"},
            "gemini": {"preset": "gemini"},
            "ollama_chat": {"preset": "ollama", "base_url": "http://localhost:11434/v1", "allow_private": True},
            "openai-2": {"base_url": "http://0.0.0.0:4000/v1", "allow_private": True},
        },
        "models": {
            "gpt-4o": {
                "deployments": [{"provider": "openai"}],
                "timeouts": {"total": 120},
                "fallbacks": ["claude-sonnet"],
            },
            "claude-sonnet": {
                "deployments": [{"provider": "anthropic", "model": "claude-sonnet-4-5"}],
                "timeouts": {"total": 120},
            },
            "gemini/*": {"deployments": [{"provider": "gemini", "model": "*"}], "timeouts": {"total": 120}},
            "local-llama": {
                "deployments": [{"provider": "ollama_chat", "model": "llama3.1"}],
                "timeouts": {"total": 120},
            },
            "everything": {
                "deployments": [{"provider": "openai-2", "model": "facebook/opt-125m"}],
                "timeouts": {"total": 120},
            },
        },
    }
    assert lines(found) == [
        "11: `model_list[1].litellm_params.max_tokens`: not carried over: requests go out as they came; clients set it"
        " themselves",
        "27: `litellm_settings.drop_params`: not carried over: requests go out as they came",
        "28: `litellm_settings.num_retries`: not carried over: a call that fails goes to its next deployment, then to"
        " its fallbacks",
        "31: `litellm_settings.success_callback`: not carried over: it has no counterpart here",
        "35: `general_settings.master_key`: ignored: the gateway makes keys of its own at its first start"
        " (`gateway keys`)",
    ]


def test_deployments_of_one_name_are_weighed_by_their_limits() -> None:
    made, _ = converted("balanced")
    assert made["providers"] == {
        "azure-acme-europe": {
            "base_url": "https://acme-europe.openai.azure.com/openai/v1",
            "headers": {"api-key": "${AZURE_API_KEY_EU}"},
        },
        "azure": {"base_url": "${AZURE_BASE_CA}/openai/v1", "headers": {"api-key": "${AZURE_API_KEY_CA}"}},
        "openai": {"preset": "openai", "headers": {"openai-organization": "${OPENAI_ORG}"}},
        "openai-2": {"preset": "openai", "api_key": "${OPENAI_KEY_TWO}"},
    }
    assert made["models"]["gpt-4o"] == {
        "deployments": [
            {"provider": "azure-acme-europe", "model": "gpt-4o-eu", "weight": 600},
            {"provider": "azure", "model": "gpt-4o-ca", "weight": 300},
            {"provider": "openai", "weight": 100},
            {"provider": "openai-2", "weight": 100},
        ],
        "timeouts": {"total": 45, "first_byte": 10},
        "max_output_tokens": 16384,
        "fallbacks": ["gpt-4o-mini"],
    }


def test_the_routers_settings_hold_for_every_name_without_its_own() -> None:
    models = converted("balanced")[0]["models"]
    assert models["embed"] == {
        "deployments": [{"provider": "openai-2", "model": "text-embedding-3-small"}],
        "timeouts": {"total": 30},
        "fallbacks": ["gpt-4o-mini"],
    }
    assert models["gpt-4o-mini"]["deployments"] == [{"provider": "azure-acme-europe", "model": "mini"}]
    assert "fallbacks" not in models["gpt-4o-mini"]


def test_an_alias_is_a_model_of_its_own() -> None:
    models = converted("balanced")[0]["models"]
    assert models["best"]["deployments"] == models["gpt-4"]["deployments"]
    assert [one["model"] for one in models["gpt-4"]["deployments"]] == ["gpt-4o-eu", "gpt-4o-ca", "gpt-4o", "gpt-4o"]
    assert "lost" not in models


def test_what_a_balanced_file_loses_is_told() -> None:
    told = lines(converted("balanced")[1])
    for expected in (
        "9: `model_list[0].litellm_params.rpm`: is a weight at most, and limits nothing; see `budgets`",
        "15: `model_list[0].model_info.base_model`: not carried over",
        "17: `model_list[0].model_info.input_cost_per_token`: not carried over: prices come from the catalogue",
        "28: `model_list[2].litellm_params.api_key`: the secret itself stands here and is not copied",
        "31: `model_list[2].litellm_params.order`: not carried over",
        "37: `model_list[3].litellm_params.tags`: not carried over",
        "56: `router_settings.routing_strategy`: `latency-based-routing` is not carried over",
        "57: `router_settings.num_retries`: not carried over",
        "61: `router_settings.redis_host`: not carried over",
        "62: `router_settings.model_group_alias.lost`: there is no model `nobody`",
        "64: `router_settings.fallbacks[0].gpt-4o`: `gone` is not served",
        "65: `router_settings.fallbacks[1].nobody`: `nobody`: there is no such model",
        "66: `router_settings.context_window_fallbacks`: not carried over: this version has one list",
    ):
        assert any(one.startswith(expected) for one in told), (expected, told)


def test_no_secret_of_the_file_is_in_what_is_made() -> None:
    for name in NAMES:
        text = repr(converted(name)[1])
        assert not any(secret in text for secret in ("sk-proj", "sk-1234", "very-secret"))


def test_clouds_that_cannot_be_served_yet_are_kept_as_comments() -> None:
    made, found = converted("clouds")
    assert made["models"]["claude"]["deployments"] == [{"provider": "anthropic", "model": "claude-sonnet-4-5"}]
    head, _, tail = found.text.partition("# This version has no such kinds")
    commented = yaml.safe_load("\n".join(line.removeprefix("# ") for line in tail.splitlines()[1:]))
    assert commented == {
        "providers": {
            "bedrock-eu-central-1": {"kind": "bedrock", "region": "eu-central-1"},
            "vertex-europe-west4": {"kind": "vertex", "project": "acme-ml", "location": "europe-west4"},
        },
        "models": {
            "claude": {
                "deployments": [
                    {"provider": "bedrock-eu-central-1", "model": "anthropic.claude-3-5-sonnet-20240620-v1:0"}
                ]
            },
            "gemini-pro": {"deployments": [{"provider": "vertex-europe-west4", "model": "gemini-2.5-pro"}]},
        },
    }
    assert "bedrock" not in head


def test_patterns_servers_of_ones_own_and_headers() -> None:
    made, _ = converted("clouds")
    assert list(made["models"]) == ["claude", "anthropic/*", "claude-*", "mixtral", "inhouse"]
    assert made["models"]["anthropic/*"]["deployments"] == [{"provider": "anthropic", "model": "*"}]
    assert made["models"]["claude-*"]["deployments"] == [{"provider": "anthropic"}]
    assert made["models"]["inhouse"]["deployments"] == [
        {"provider": "hosted_vllm-vllm", "model": "meta-llama/Llama-3.1-70B-Instruct", "weight": 2}
    ]
    assert made["providers"]["together_ai"] == {
        "preset": "together",
        "api_key": "${TOGETHERAI_API_KEY}",
        "headers": {"x-team": "ml", "x-api-token": "${X_API_TOKEN}"},
    }
    assert made["providers"]["hosted_vllm-vllm"] == {
        "preset": "vllm",
        "base_url": "http://vllm.models.svc:8000/v1",
        "allow_private": True,
    }
    assert made["models"]["claude"]["fallbacks"] == ["mixtral", "inhouse"]
    assert made["models"]["claude-*"]["fallbacks"] == ["inhouse"] and "fallbacks" not in made["models"]["inhouse"]


def test_what_a_file_of_clouds_loses_is_told() -> None:
    told = lines(converted("clouds")[1])
    for expected in (
        "2: `include`: not carried over: import each of the files",
        "4: `environment_variables`: not carried over",
        "9: `model_list[0].litellm_params.model`: this version has no providers of the kind `bedrock`",
        "11: `model_list[0].litellm_params.aws_access_key_id`: not carried over: how to sign in",
        "22: `model_list[2].litellm_params.vertex_credentials`: not carried over",
        "33: `model_list[5].litellm_params.model`: `*` does not tell which provider serves it",
        "37: `model_list[6].litellm_params.temperature`: not carried over",
        "38: `model_list[6].litellm_params.extra_headers`: `AI-Resource Group` is no header",
        "38: `model_list[6].litellm_params.extra_headers`: the secret itself stands here",
        "50: `model_list[9].litellm_params.api_base`: is not an address",
        "51: `model_list[10].model_name`: not carried over: a name has 1 to 200 characters and no spaces",
        "54: `model_list[11].litellm_params.model`: a `*` stands only at the end",
        "55: `model_list[12]`: has no `litellm_params.model`, or no `model_name`",
        "57: `model_list[13].litellm_params.model`: `some-model` does not tell",
        "58: `guardrails`: not carried over: this version has no guardrails",
        "61: `router_settings.fallbacks[0].claude`: `gemini-pro` is commented out",
        "61: `router_settings.fallbacks[1].gemini-pro`: `gemini-pro`: all its deployments are commented out",
        "62: `router_settings.timeout`: is not a number of seconds",
        "65: `general_settings.database_url`: not carried over",
        "66: `general_settings.alerting`: not carried over",
    ):
        assert any(one.startswith(expected) for one in told), (expected, told)


@pytest.mark.parametrize(
    ("params", "provider", "model"),
    [
        ({"model": "groq/llama-3.3-70b"}, {"preset": "groq"}, "llama-3.3-70b"),
        ({"model": "mistral-large-latest"}, {"preset": "mistral"}, "mistral-large-latest"),
        ({"model": "my-model", "custom_llm_provider": "xai"}, {"preset": "xai"}, "my-model"),
        ({"model": "xai/grok", "custom_llm_provider": "xai"}, {"preset": "xai"}, "grok"),
        ({"model": "some", "api_base": "https://llm.acme.com"}, {"base_url": "https://llm.acme.com"}, "some"),
        (
            {"model": "openai/some", "base_url": "os.environ/LLM_BASE", "api_key": "os.environ/K"},
            {"base_url": "${LLM_BASE}", "api_key": "${K}"},
            "some",
        ),
        (
            {"model": "perplexity/sonar"},
            {"preset": "perplexity", "api_key": "${PERPLEXITYAI_API_KEY}"},
            "sonar",
        ),
        (
            {"model": "azure/gpt", "azure_ad_token": "os.environ/TOKEN"},
            {"base_url": "${AZURE_API_BASE}/openai/v1", "headers": {"authorization": "Bearer ${TOKEN}"}},
            "gpt",
        ),
        (
            {"model": "openai/gpt-5", "headers": {"Authorization": "os.environ/AUTH"}},
            {"preset": "openai", "api_key": None, "headers": {"authorization": "${AUTH}"}},
            "gpt-5",
        ),
        (
            {"model": "lm_studio/qwen", "api_base": "http://127.0.0.1:1234/v1"},
            {"base_url": "http://127.0.0.1:1234/v1", "allow_private": True},
            "qwen",
        ),
    ],
)
def test_a_deployment_says_which_server_it_means(params: dict[str, Any], provider: object, model: str) -> None:
    made, left = given_one(params)
    assert list(made["providers"].values()) == [provider] and not left
    assert made["models"]["m"]["deployments"][0]["model"] == model


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model": "lm_studio/qwen"}, "says nothing without an `api_base`"),
        ({"model": "os.environ/MODEL"}, "does not tell which provider"),
        ({"model": "openai/a*b"}, "a `*` stands only at the end"),
        ({"model": "openai/gpt", "litellm_credential_name": "nobody"}, "there are no credentials `nobody`"),
        ({"model": "openai/gpt", "organization": ["a", "b"]}, "several organizations"),
        ({"model": "openai/gpt", "timeout": "soon"}, "is not a number of seconds"),
        ({"model": "cohere/command-r"}, "no providers of the kind `cohere`"),
        ({"model": "brand-new/model"}, "no providers of the kind `brand-new`"),
    ],
)
def test_what_a_deployment_cannot_be(params: dict[str, Any], said: str) -> None:
    assert any(said in one for one in given_one(params)[1])


def test_text_that_looks_like_a_variable_of_ours_stays_text() -> None:
    made, _ = given_one({"model": "openai/gpt", "extra_headers": {"x-note": "costs ${5}"}})
    assert made["providers"]["openai"]["headers"] == {"x-note": "costs $${5}"}


@pytest.mark.parametrize("text", ["", "[]", "model_list: 4", "a: [", "models: {}", "model_list: {}"])
def test_what_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        convert(text)


KEYS = st.sampled_from(
    "model_name litellm_params model_info model api_base api_key weight rpm timeout organization extra_headers headers"
    " fallbacks credential_name credential_values model_group_alias default_fallbacks max_output_tokens".split()
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "openai/*", "azure/x", "*", "os.environ/A"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "model_name": ANYTHING | st.sampled_from(["a", "b*"]),
                "litellm_params": ANYTHING
                | st.dictionaries(KEYS, ANYTHING).map(lambda one: {**one, "model": "openai/x"}),
            }
        )
        | ANYTHING,
        max_size=4,
    ),
    ANYTHING,
    ANYTHING,
)
def test_no_file_is_too_strange(entries: list[object], router: object, credentials: object) -> None:
    data = {
        "model_list": entries,
        "router_settings": router,
        "litellm_settings": router,
        "credential_list": credentials,
    }
    found = convert(yaml.safe_dump(data))
    assert isinstance(yaml.safe_load(found.text), dict)
