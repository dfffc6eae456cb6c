"""Does a request cost more where there are more keys, or more models? Three gateways side by side, in turns.

Requests go round through up to a thousand of the keys or models, so that what is measured is a table in use and not
one warm entry.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from loadtest import traffic
from loadtest.measures import saturate
from loadtest.peers.base import Running, Stage
from loadtest.peers.gateway import start_gateway
from loadtest.settings import Settings
from loadtest.stats import spread

_MOST_IN_USE = 1000


@dataclass(frozen=True, slots=True)
class _Size:
    name: str
    keys: int
    models: int


def measure_growth(stage: Stage, settings: Settings, step: Callable[[str], None]) -> dict[str, Any]:
    """CPU per request of each size, and its ratio to the small one; `step` is told what is going on."""
    sizes = (
        _Size("few", settings.few, settings.few),
        _Size("many_keys", settings.many_keys, settings.few),
        _Size("many_models", settings.few, settings.many_models),
    )
    costs: dict[str, list[float]] = {size.name: [] for size in sizes}
    with ExitStack() as stack:
        running = {size.name: _started(stage, size, stack, step) for size in sizes}
        for number in range(settings.growth_rounds):
            for size in sizes:
                step(f"growth, round {number + 1}: {_title(size)}")
                costs[size.name].append(_cost(running[size.name], settings, stage))
    return {size.name: _summary(size, costs) for size in sizes}


def step_count(settings: Settings) -> int:
    """How often `measure_growth` will call its `step`."""
    return 3 + 3 * settings.growth_rounds


def _started(stage: Stage, size: _Size, stack: ExitStack, step: Callable[[str], None]) -> Running:
    step(f"starting a gateway with {_title(size)}")
    running = start_gateway(stage, f"gateway-{size.name}", keys=size.keys, models=size.models)
    stack.callback(running.stop)
    saturate(running, _requests(running), 1, 64, stage.scratch)  # warm, not counted
    return running


def _cost(running: Running, settings: Settings, stage: Stage) -> float:
    result = saturate(running, _requests(running), settings.growth_s, settings.connections, stage.scratch)
    assert result.cpu_us_per_request is not None  # a gateway is a process
    return result.cpu_us_per_request


def _requests(running: Running) -> list[bytes]:
    keys, models = _sample(running.keys), _sample(running.models)
    bodies = [traffic.unary_body(model) for model in models]
    count = max(len(keys), len(models))
    return [traffic.request(running.port, keys[i % len(keys)], bodies[i % len(bodies)]) for i in range(count)]


def _sample(names: tuple[str, ...]) -> tuple[str, ...]:
    """Up to a thousand, evenly from all of them."""
    return names[:: max(1, len(names) // _MOST_IN_USE)][:_MOST_IN_USE]


def _summary(size: _Size, costs: dict[str, list[float]]) -> dict[str, Any]:
    mine = costs[size.name]
    found = spread(mine)
    assert found is not None
    summary: dict[str, Any] = {"title": _title(size), "cpu_us_per_request": asdict(found)}
    if size.name != "few":
        ratio = spread([many / few for many, few in zip(mine, costs["few"], strict=True)])
        summary["ratio"] = None if ratio is None else asdict(ratio)
    return summary


def _title(size: _Size) -> str:
    return f"{size.keys:,} keys, {size.models:,} models"
