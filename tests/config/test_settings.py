"""A whole file: everything right becomes settings, everything wrong is said at once, with its line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from gateway.config import defaults
from gateway.config.presets import PRESETS
from gateway.config.routes import OpenAIProvider, ScriptedProvider
from gateway.config.settings import Settings, read, schema
from gateway.errors import ConfigError

ROOT = Path(__file__).parents[2]
KEYS = {"OPENAI_API_KEY": "sk-test-canary", "MISTRAL_API_KEY": "m-test-canary"}

BASE = """\
providers:
  openai: {preset: openai}
  local: {base_url: "http://127.0.0.1:9000/v1", api_key: none, allow_private: true}
models:
  fast: {deployments: [{provider: openai, model: gpt-5-mini, weight: 9}, {provider: local, model: tiny}]}
  tiny: {deployments: [{provider: local}]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def load(file: Path, text: str, environ: Mapping[str, str] = KEYS, **server: object) -> tuple[Settings, list[str]]:
    file.write_text(text)
    return read(file, environ, file.parent / "state", server)


def faults(file: Path, text: str, environ: Mapping[str, str] = KEYS, **server: object) -> list[str]:
    """Every fault, as `LINE: message`."""
    with pytest.raises(ConfigError) as caught:
        load(file, text, environ, **server)
    return [str(fault).replace(f"{file}:", "") for fault in caught.value.faults]


def test_a_file_becomes_settings(file: Path) -> None:
    settings, warnings = load(file, BASE)
    openai = settings.providers["openai"]
    assert isinstance(openai, OpenAIProvider)
    assert openai.base_url == "https://api.openai.com/v1"
    assert openai.api_key is not None
    assert openai.api_key.get_secret_value() == "sk-test-canary"
    assert [(one.provider, one.model, one.weight) for one in settings.models["fast"].deployments] == [
        ("openai", "gpt-5-mini", 9),
        ("local", "tiny", 1),
    ]
    assert settings.models["tiny"].deployments[0].model == "tiny"
    assert warnings == []


def test_settings_cannot_be_changed(file: Path) -> None:
    settings, _ = load(file, BASE)
    with pytest.raises(ValueError, match="frozen"):
        settings.server.port = 1


@pytest.mark.parametrize("text", ["", "server:\n", "{}", "server: {}\nbudgets: []\ncache: {}\nwebhooks:\n"])
def test_an_empty_file_is_all_defaults_and_warns_that_nothing_is_served(file: Path, text: str) -> None:
    settings, warnings = load(file, text)
    assert (settings.server.port, dict(settings.providers)) == (8080, {})
    assert warnings == ["there are no models to serve; name some under `models`"]


EVERYTHING_WRONG = """\
modles: {}
server:
  hots: 1
  port: abc
  limits: {keep_alive: 75s}
storage: {ledger: "postgresql://u:hunter2@h/db", shared: "redis://h"}
providers:
  a: {kind: opnai, base_url: "https://x"}
  b: {base_url: "https://user:hunter2@x", api_base: 1, api_key: 12}
  c: {preset: opena}
  d: {kind: scripted, script: nope.yaml}
  e: 7
models:
  m:
    deployments: [{provider: bb, model: "x*"}, {weight: 1}]
    fallbacks: [m, mm, "x*"]
    timeouts: {first_bite: 3, idle: -1}
  "n n": {deployments: [{provider: d, model: y}]}
  prompt:x: {deployments: [{provider: d, model: z}]}
logs: {level: inf, access: maybe}
cache: [{x: 1}]
passthrough: {files: dd}
server: {}
"""


def test_every_fault_is_reported_at_once_in_the_order_of_lines(file: Path) -> None:
    presets = ", ".join(PRESETS)
    assert faults(file, EVERYTHING_WRONG) == [
        "1: unknown key `modles`; did you mean `models`?",
        "3: unknown key `hots` in `server`; did you mean `host`?",
        "4: `server.port` should be a whole number, not `abc`",
        "5: `server.limits.keep_alive` should be a number, not `75s`",
        "6: `storage.ledger`: PostgreSQL is not available in this version; use sqlite:///data/ledger.db",
        "6: `storage.shared`: Redis is not available in this version; "
        "use memory://, which all workers of one machine share",
        "8: `providers.a` should be one of openai, scripted, not `opnai`; did you mean `openai`?",
        "9: `providers.b.base_url` should hold no user name or password; the key belongs in `api_key`",
        "9: `providers.b.api_key` should be text; put it in quotes",
        "9: unknown key `api_base` in `providers.b`; did you mean `base_url`?",
        f"10: `providers.c.preset` should be one of {presets}; did you mean `openai`?",
        f"11: `providers.d.script`: there is no file {file.parent}/nope.yaml",
        "12: `providers.e` should be a mapping of settings, not `7`",
        "15: `models.m.deployments[1]` needs `provider`",
        "15: `models.m.deployments[0].provider`: there is no provider `bb`; did you mean `b`?",
        "15: `models.m.deployments[0].model`: `x*` needs a model name that ends in `*` too; "
        "`m` has nothing to put there",
        "16: `models.m.fallbacks[0]`: `m` cannot be its own fallback",
        "16: `models.m.fallbacks[1]`: there is no model `mm`; did you mean `m`?",
        "16: `models.m.fallbacks[2]`: `x*` is a pattern; a fallback is one model",
        "17: `models.m.timeouts.idle` should be a number greater than 0, not `-1`",
        "17: unknown key `first_bite` in `models.m.timeouts`; did you mean `first_byte`?",
        "18: `models.n n` should have no spaces, line breaks or other control characters",
        "19: `models.prompt:x`: names that begin with `prompt:` ask for a prompt and cannot name a model",
        "20: `logs.level` should be one of debug, info, warning, error, not `inf`; did you mean `info`?",
        "20: `logs.access` should be true or false, not `maybe`",
        "21: `cache` is not available in this version; leave it out or empty",
        "22: `passthrough.files`: there is no provider `dd`; did you mean `d`?",
        "23: the key `server` stands here a second time (first: line 2)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n", "1: the file should be a mapping of settings"),
        ("server: 3\n", "1: `server` should be a mapping of settings, not `3`"),
        ("models: []\n", "1: `models` should be a mapping of names to values"),
        ("storage: {ledger: 'mysql://h'}\n", "1: `storage.ledger` should be sqlite:///data/ledger.db"),
        ("storage: {ledger: 'sqlite://'}\n", "1: `storage.ledger` should name a file"),
        ("storage: {ledger: 'sqlite:///:memory:'}\n", "1: `storage.ledger` should name a file"),
        ("storage: {ledger: 'sqlite:///a.db?mode=ro'}\n", "1: `storage.ledger` should hold no query"),
        ("storage: {shared: 'memcached://'}\n", "1: `storage.shared` should be memory://"),
        ("server: {port: 8081}\n", "1: `server`: `port` and `admin_port` are both 8081; give each its own"),
        ("server: {port: '${PORT}'}\n", "1: `server.port` needs the variable PORT, which is not set"),
        ("server: {host: '${NOT-A-NAME}'}\n", "1: `server.host`: `${NOT-A-NAME}` is no variable"),
        ("server: {tls: {cert: ${X}}}\n", "1: is not YAML"),
        ("cache: {ttl: 3}\n", "1: `cache` is not available in this version"),
        ("model_list: []\n", "1: unknown key `model_list`; did you mean `models`?"),
        ("idempotency: {max_bytes: 1 MB}\n", "1: `idempotency.max_bytes` should be a number of bytes"),
    ],
    ids=lambda value: value.strip()[:36],
)
def test_a_fault_says_what_would_be_right(file: Path, text: str, expected: str) -> None:
    assert faults(file, text, {})[0].startswith(expected)


def test_a_secret_is_in_no_fault(file: Path) -> None:
    environ = {"A": "canary-in-url", "B": "canary-key\nwith: break", "C": "canary-port"}
    text = (
        "server: {port: '${C}'}\n"
        "storage: {ledger: 'postgresql://u:canary-db@h/d'}\n"
        "providers:\n"
        "  a: {base_url: 'https://u:${A}@h', api_key: '${B}', headers: {x: ''}}\n"
        "  b: {base_url: 'https://h', api_key: [canary-list], headers: {x: [canary-header]}}\n"
        "  c: {base_url: 'https://h', api_key: gw-canary}\n"
    )
    found = faults(file, text, environ)
    assert len(found) >= 8
    assert not [fault for fault in found if "canary" in fault]


def test_a_provider_whose_variable_is_unset_is_left_out_with_all_that_leads_to_it(file: Path) -> None:
    text = (
        "providers:\n"
        "  local: {base_url: 'http://127.0.0.1/v1', allow_private: true}\n"
        "  away: {base_url: 'https://${AWAY_HOST}/v1', api_key: '${AWAY_KEY}'}\n"
        "  azure: {base_url: 'https://h', headers: {api-key: '${AZURE_KEY}'}}\n"
        "models:\n"
        "  both: {deployments: [{provider: local}, {provider: away}], fallbacks: [far, near]}\n"
        "  far: {deployments: [{provider: away}, {provider: local, weight: 0}]}\n"
        "  near: {deployments: [{provider: local}]}\n"
        "passthrough: {files: away, default: local}\n"
    )
    settings, warnings = load(file, text, {})
    assert list(settings.providers) == ["local"]
    assert {name: [one.provider for one in model.deployments] for name, model in settings.models.items()} == {
        "both": ["local"],
        "near": ["local"],
    }
    assert settings.models["both"].fallbacks == ("near",)
    assert (settings.passthrough.files, settings.passthrough.default) == (None, "local")
    assert warnings == [
        f"provider `away` is left out: AWAY_HOST is not set ({file}:3); AWAY_KEY is not set ({file}:3)",
        f"provider `azure` is left out: AZURE_KEY is not set ({file}:4)",
        "model `far` is left out: none of its providers is there",
        "model `both` goes without its fallback far",
        "`passthrough.files` is left out: its provider `away` is not there",
    ]


def test_a_provider_that_would_be_left_out_is_checked_all_the_same(file: Path) -> None:
    text = "providers:\n  openai: {preset: openai, max_conections: 3}\n"
    assert faults(file, text, {}) == [
        "2: unknown key `max_conections` in `providers.openai`; did you mean `max_connections`?"
    ]


@pytest.mark.parametrize("value", ["", " \n"])
def test_a_secret_that_is_set_but_blank_refuses_the_start(file: Path, value: str) -> None:
    assert faults(file, BASE, {"OPENAI_API_KEY": value})[0].startswith("2: `providers.openai.api_key` is blank")


def test_a_key_of_this_gateway_is_no_provider_key(file: Path) -> None:
    assert faults(file, BASE, {"OPENAI_API_KEY": "gw-abc-def"})[0].startswith(
        "2: `providers.openai.api_key`: that is a key of this gateway"
    )


def test_relative_paths_start_at_the_file_and_data_at_the_data_folder(file: Path) -> None:
    folder, state = file.parent, file.parent / "state"
    (folder / "ca.pem").touch()
    text = (
        "prompts: {path: p}\npolicies: {path: data/q}\nproviders: {a: {base_url: https://x, tls: {ca_file: ca.pem}}}\n"
    )
    settings, _ = load(file, text)
    provider = settings.providers["a"]
    assert isinstance(provider, OpenAIProvider)
    assert provider.tls.ca_file == folder / "ca.pem"
    assert (settings.prompts.path, settings.policies.path) == (folder / "p", state / "q")
    assert settings.prices.path == folder / "prices.yaml"
    assert settings.storage.ledger == f"sqlite:///{state}/ledger.db"
    assert settings.storage.ledger_path == state / "ledger.db"


def test_the_ledger_may_be_anywhere(file: Path) -> None:
    assert load(file, "storage: {ledger: 'sqlite:////var/l.db'}\n")[0].storage.ledger_path == Path("/var/l.db")
    assert load(file, "storage: {ledger: 'sqlite:///l.db'}\n")[0].storage.ledger_path == file.parent / "l.db"


def test_the_command_line_wins_over_the_file_and_what_builds_on_it_follows(file: Path) -> None:
    settings, _ = load(file, "server: {port: 1, workers: 3}\n", host="192.0.2.7", port=9080)
    server = settings.server
    assert (server.host, server.port, server.workers, server.admin_host) == ("192.0.2.7", 9080, 3, "192.0.2.7")


def test_a_fault_of_the_command_line_is_called_that(file: Path) -> None:
    assert faults(file, "server: {workers: 0}\n", port=70_000) == [
        "command line: `server.port` should be a number of at most 65535, not `70000`",
        "1: `server.workers` should be a number of at least 1, not `0`",
    ]


def test_variables_may_stand_for_numbers(file: Path) -> None:
    assert load(file, "server: {port: '${PORT}'}\n", {"PORT": "9999"})[0].server.port == 9999


@pytest.mark.parametrize(
    ("url", "warns"),
    [("http://llm.example.com/v1", True), ("http://vllm:8000/v1", False), ("http://gpu.internal/v1", False)],
)
def test_plain_http_to_a_stranger_warns(file: Path, url: str, warns: bool) -> None:
    _, warnings = load(
        file, f"providers: {{a: {{base_url: '{url}'}}}}\nmodels: {{m: {{deployments: [{{provider: a}}]}}}}\n"
    )
    assert [warning for warning in warnings if "plain http" in warning] == (
        ["provider `a` is called over plain http, which shows its key and all text to the network"] if warns else []
    )


def test_a_pattern_may_be_fallen_back_on_by_one_of_its_names(file: Path) -> None:
    text = (
        BASE
        + "  gpt-*: {deployments: [{provider: openai}]}\n  m: {deployments: [{provider: local}], fallbacks: [gpt-5]}\n"
    )
    assert load(file, text)[0].models["m"].fallbacks == ("gpt-5",)


def test_a_large_file_loads_in_seconds(file: Path) -> None:
    lines = [f"  m-{n}: {{deployments: [{{provider: openai, model: x-{n}}}]}}" for n in range(2_000)]
    settings, _ = load(file, "providers: {openai: {preset: openai}}\nmodels:\n" + "\n".join(lines))
    assert len(settings.models) == 2_000


# The outward contract's own example, as far as this version goes.
CONTRACT = """\
server:    {host: 127.0.0.1, port: 8080, admin_port: 8081, allowed_hosts: ["*"], trusted_proxies: [], tls: null}
storage:   {ledger: "sqlite:///data/ledger.db", shared: "memory://"}
providers:
  openai:    {kind: openai, base_url: "https://api.openai.com/v1", api_key: "${OPENAI_API_KEY}"}
  local:     {kind: openai, base_url: "http://127.0.0.1:9000/v1", api_key: "none", allow_private: true}
models:
  gpt-5-mini:
    deployments: [{provider: openai, model: gpt-5-mini, weight: 9}, {provider: local, model: tiny, weight: 1}]
    fallbacks: [claude-haiku]
    timeouts: {connect: 2, first_byte: 30, idle: 20, total: 300}      # seconds
  claude-haiku:
    deployments: [{provider: local, model: tiny}]
prompts:   {path: prompts}
policies:  {path: policies}
budgets: []
cache: {}
scorer: {}
vector_stores: {}
mcp: {}
auth: {}
webhooks: []
retention: {}
prices:    {path: prices.yaml}
"""


def test_the_documented_shape_loads(file: Path) -> None:
    settings, warnings = load(file, CONTRACT)
    assert settings.models["gpt-5-mini"].timeouts.first_byte == 30
    assert warnings == []


@pytest.mark.parametrize(
    "environ", [{}, KEYS | {"AZURE_RESOURCE": "mine", "AZURE_OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}]
)
def test_the_example_loads_with_and_without_keys(environ: dict[str, str]) -> None:
    settings, warnings = read(ROOT / "gateway.example.yaml", environ, ROOT / "data")
    assert "demo" in settings.models
    assert all("left out" in warning for warning in warnings)
    assert bool(warnings) == (not environ)


def test_the_schema_accepts_what_loads_and_refuses_unknown_keys() -> None:
    validator = jsonschema_rs.validator_for(schema())
    example = yaml.safe_load((ROOT / "gateway.example.yaml").read_text())
    # A preset's address and a deployment's model are filled in before validation, so the schema cannot ask for them.
    assert list(validator.iter_errors(yaml.safe_load(CONTRACT))) == []
    assert list(validator.iter_errors(example)) == []
    assert list(validator.iter_errors(defaults.document(KEYS))) == []
    assert not validator.is_valid({"modles": {}})
    assert not validator.is_valid({"server": {"port": "abc"}})
    assert not validator.is_valid({"budgets": [1]})


def test_a_scripted_provider_may_name_its_script(file: Path) -> None:
    (file.parent / "s.yaml").touch()
    provider = load(file, "providers: {s: {kind: scripted, script: s.yaml}}\n")[0].providers["s"]
    assert provider == ScriptedProvider(script=file.parent / "s.yaml")
