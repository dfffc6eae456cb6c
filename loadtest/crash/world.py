"""What a gateway under fire is given: a provider's script, routes with fallbacks, prices that do not come out even.

The texts are of words that are one token each, to the scripted provider (which counts words) and to the tokenizer with
which the gateway estimates. So an estimate can be reckoned beforehand: it is the provider's own count and the six
tokens that the published rule adds for one message (`gateway/pricing/tokens.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

WORDS: Final = (
    "one two three four five six seven eight nine ten red green blue black white north south east west river house "
    "garden table window paper water light music summer winter"
).split()
"""One token each in o200k_base, with and without a space before it; `tests/loadtest/test_crash.py` counts them."""

FRAMING: Final = 6
"""Tokens that an estimate of a prompt of one message has beyond its words: 3 for the message, 3 to prime the answer."""

USD: Final[dict[str, tuple[str, str, str]]] = {
    "told": ("0.0375", "0.00937", "0.150003"),
    "cached": ("0.25", "0.0251", "2.0005"),
    "untold": ("1.25", "0.125", "10.0007"),
    "slow": ("0.0375", "0.00937", "0.150003"),
    "breaks": ("0.0333", "0.0111", "0.2222"),
    "fails": ("5", "0.5", "15"),
    "resets": ("5", "0.5", "15"),
    "drops": ("5", "0.5", "15"),
    "limited": ("5", "0.5", "15"),
    "wrong": ("5", "0.5", "15"),
    "spare": ("0.0815", "0.0203", "0.3301"),
}
"""Dollars per million tokens of each model: input, cached input, output. None is a whole number of nano-dollars a
token, so that a sum which is rounded elsewhere than meter by meter, half-even, shows."""

RECKONED: Final = frozenset(USD) - {"cached"}
"""Models whose estimate is reckoned beforehand. `cached` is billed other counts than those of its words."""

_SCRIPT: Final = """\
models: [{models}]
replies:
  - {{when: {{model: fails, share: 0.6}}, error: {{status: 500}}}}
  - {{when: {{model: limited, share: 0.6}}, error: {{status: 429, retry_after: 1}}}}
  - {{when: {{model: wrong}}, error: {{status: 400}}}}
  - {{when: {{model: resets, share: 0.6}}, text: "{short}", chunk: words, fault: {{kind: reset}}}}
  - {{when: {{model: drops, share: 0.3}}, text: "{short}", fault: {{kind: reset, before_head: true}}}}
  - when: {{model: breaks}}
    text: "{long}"
    chunk: words
    usage: none
    delay: {{head: [0, 0.004], chunk: 0.001}}
    fault: {{kind: reset, after_chunks: 12}}
  - when: {{model: untold}}
    text: "{long}"
    chunk: words
    usage: none
    delay: {{head: [0, 0.004], chunk: 0.001}}
  - when: {{model: cached}}
    text: "{long}"
    chunk: words
    usage: {{input_tokens: 1013, cache_read_tokens: 907, output_tokens: 23, reasoning_tokens: 5}}
    delay: {{head: [0, 0.004], chunk: 0.001}}
  - when: {{model: slow}}
    text: "{long}"
    chunk: words
    delay: {{head: 0.03, chunk: 0.004}}
  - text: "{short}"
    chunk: words
    delay: {{head: [0, 0.004], chunk: [0, 0.002]}}
"""

_PRICE: Final = (
    '- {{provider: {provider}, model: {model}, from: 2026-01-01, usd_per_million: {{input: "{0}", cache_read: "{1}", '
    'output: "{2}"}}}}\n'
)

_CONFIG: Final = """\
server:
  port: {port}
  admin_port: {admin_port}
  workers: {workers}
  shutdown: {{grace: 0.3}}
logs: {{level: warning, access: false}}
prices: {{path: prices.yaml}}
providers:
  a: {{base_url: "http://127.0.0.1:{provider}/v1", allow_private: true}}
  b: {{base_url: "http://127.0.0.1:{provider}/v1", allow_private: true}}
models:
  told: {{deployments: [{{provider: a}}]}}
  cached: {{deployments: [{{provider: a}}]}}
  untold: {{deployments: [{{provider: a}}]}}
  slow: {{deployments: [{{provider: a}}]}}
  breaks: {{deployments: [{{provider: a}}]}}
  wrong: {{deployments: [{{provider: a}}]}}
  spare: {{deployments: [{{provider: b}}]}}
  flaky: {{deployments: [{{provider: a, model: fails}}], fallbacks: [spare]}}
  shaky: {{deployments: [{{provider: a, model: resets}}], fallbacks: [spare]}}
  lost: {{deployments: [{{provider: a, model: drops}}], fallbacks: [spare]}}
  busy: {{deployments: [{{provider: a, model: limited}}], fallbacks: [spare]}}
{more}"""

BUDGETS: Final = """\
budgets:
  - {scope: "team:*", usd: 900000/total}
  - {scope: "key:*", usd: 900000/day, concurrency: 100000}
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of call: which model, streamed or not, and whether the client leaves before its answer is whole."""

    model: str
    stream: bool = False
    leaves: bool = False


KINDS: Final = (
    *(
        Kind(model, stream)
        for model in ("told", "cached", "untold", "flaky", "shaky", "busy")
        for stream in (False, True)
    ),
    *(Kind("slow", stream=True), Kind("breaks", stream=True), Kind("wrong")),
    *(Kind("slow", stream=True, leaves=True), Kind("untold", stream=True, leaves=True), Kind("slow", leaves=True)),
)

HANG_UPS: Final = (Kind("lost"), Kind("lost", stream=True))
"""Calls whose provider bills them and hangs up without a word."""


def write_script(folder: Path) -> Path:
    """The provider's script."""
    file = folder / "script.yaml"
    short, long = " ".join(WORDS[:8]), " ".join(WORDS[:24])
    file.write_text(_SCRIPT.format(models=", ".join(USD), short=short, long=long))
    return file


def write_config(folder: Path, *, port: int, admin_port: int, provider: int, workers: int, more: str = "") -> Path:
    """The gateway's configuration and its prices; `provider` is the port of the scripted one."""
    prices = "".join(
        _PRICE.format(*usd, provider="b" if model == "spare" else "a", model=model) for model, usd in USD.items()
    )
    (folder / "prices.yaml").write_text(prices)
    file = folder / f"gateway-{workers}.yaml"
    file.write_text(_CONFIG.format(port=port, admin_port=admin_port, provider=provider, workers=workers, more=more))
    return file


def question(draw: Random) -> str:
    """A prompt of a few words."""
    return " ".join(draw.choices(WORDS, k=draw.randrange(1, 12)))
