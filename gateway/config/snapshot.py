"""One frozen view of everything that files say; a call keeps the view that it began with.

Its digest stands in every record, so that a result can be traced to what produced it. Secrets go into the digest only
as they stand in the file's place (`${NAME}` filled in, then hashed), never readable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from gateway.config.budgets import rules
from gateway.config.routes import Timeouts as TimeoutSettings
from gateway.config.settings import Settings
from gateway.limits import Rules
from gateway.model.route import Deployment, Route, Timeouts
from gateway.pricing.table import PriceTable
from gateway.routing import Routes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one load of the files gave. `warnings` are for the log and the start's output."""

    settings: Settings
    routes: Routes
    prices: PriceTable
    rules: Rules
    digest: str
    warnings: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Digests of the files that providers name, by provider: a script that changed is another script."""


def build(settings: Settings, prices: PriceTable, files: Mapping[str, str], warnings: list[str]) -> Snapshot:
    """The view that `settings` describe, with `prices`; `files` as in `Snapshot`."""
    routes = Routes(
        Route(
            name,
            tuple(Deployment(one.provider, one.model, one.weight) for one in model.deployments),
            model.fallbacks,
            _timeouts(model.timeouts),
            model.max_output_tokens,
        )
        for name, model in settings.models.items()
    )
    digest = _digest(settings, prices, files)
    return Snapshot(settings, routes, prices, rules(settings.budgets), digest, tuple(warnings), dict(files))


def _timeouts(found: TimeoutSettings) -> Timeouts:
    return Timeouts(found.connect, found.first_byte, found.idle, found.total)


def _digest(settings: Settings, prices: PriceTable, files: Mapping[str, str]) -> str:
    def plain(value: object) -> str:
        reveal = getattr(value, "get_secret_value", None)
        return hashlib.sha256(reveal().encode()).hexdigest() if reveal is not None else str(value)

    whole = [settings.model_dump(), prices.digest, files]
    text = orjson.dumps(whole, default=plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(text).hexdigest()
