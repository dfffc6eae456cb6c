"""Everything that the overview shows, gathered from a running worker and frozen, so that a template only prints it.

The numbers are those of all workers; readiness and configuration are those of the worker that answers. No secret can
get in: of a key there is what `store.listing` shows, of a provider its name, kind and address.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway import __version__
from gateway.access import KeyRing
from gateway.access.keys import KeyRecord
from gateway.config.reload import Outcome
from gateway.config.snapshot import Snapshot
from gateway.console.traffic import Traffic, total, traffic
from gateway.console.words import share
from gateway.errors import Fault
from gateway.runtime import Runtime
from gateway.store.listing import State, state
from gateway.telemetry import metrics
from gateway.telemetry.merge import Merged

MOST_ROWS = 200
"""Rows of one table at most: a page is for reading, and lists of thousands are what the API is for."""


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One deployment and its share of the model's calls, in per cent."""

    provider: str
    model: str
    share: str


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One name that clients use."""

    name: str
    deployments: tuple[DeploymentView, ...]
    fallbacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """One provider; `failed` counts attempts."""

    name: str
    kind: str
    address: str | None
    idle: float
    active: float
    failed: float


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key, without anything that opens a door. Times are epoch seconds."""

    id: str
    team: str
    project: str
    name: str
    role: str
    state: State
    created_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class KeyTable:
    """The newest keys, how many there are in all, and how many of each state."""

    rows: tuple[KeyRow, ...]
    count: int
    states: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ConfigView:
    """The configuration in force and the last attempt to load another."""

    digest: str
    outcome: Outcome
    at: datetime
    faults: tuple[Fault, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole page. `now` and `started_at` are epoch seconds; `keys` is `None` where the role may not see them."""

    version: str
    now: float
    started_at: float
    workers: float
    restarts: float
    not_ready: Mapping[str, str]
    config: ConfigView
    models: tuple[ModelRow, ...]
    model_count: int
    providers: tuple[ProviderRow, ...]
    traffic: Traffic
    keys: KeyTable | None


def overview(runtime: Runtime, merged: Merged, now: float, *, with_keys: bool) -> Overview:
    """The page as it stands. Called on the event loop, whose thread alone changes what is read here."""
    snapshot = runtime.view.snapshot
    reload = runtime.reloader.state
    return Overview(
        version=__version__,
        now=now,
        started_at=runtime.started_at,
        workers=total(merged, metrics.WORKERS),
        restarts=total(merged, metrics.WORKER_RESTARTS),
        not_ready=runtime.faults(),
        config=ConfigView(snapshot.digest, reload.outcome, reload.at, reload.faults, snapshot.warnings),
        models=_models(snapshot),
        model_count=len(snapshot.settings.models),
        providers=_providers(snapshot, merged),
        traffic=traffic(merged),
        keys=key_table(runtime.keys.ring, int(now)) if with_keys else None,
    )


def _models(snapshot: Snapshot) -> tuple[ModelRow, ...]:
    rows = []
    for name, model in list(snapshot.settings.models.items())[:MOST_ROWS]:
        whole = sum(one.weight for one in model.deployments)
        deployments = tuple(
            DeploymentView(one.provider, one.model, share(one.weight, whole)) for one in model.deployments
        )
        rows.append(ModelRow(name, deployments, tuple(model.fallbacks)))
    return tuple(rows)


def _providers(snapshot: Snapshot, merged: Merged) -> tuple[ProviderRow, ...]:
    connections = merged[metrics.UPSTREAM_CONNECTIONS.name]
    failed: Counter[str] = Counter()
    for (provider, _kind), (number,) in merged[metrics.UPSTREAM_ERRORS_TOTAL.name].items():
        failed[provider] += int(number)
    return tuple(
        ProviderRow(
            name,
            provider.kind,
            getattr(provider, "base_url", None),
            connections.get((name, "idle"), [0.0])[0],
            connections.get((name, "active"), [0.0])[0],
            failed[name],
        )
        for name, provider in snapshot.settings.providers.items()
    )


def key_table(ring: KeyRing, now: int) -> KeyTable:
    """The keys of `ring` at `now` (epoch seconds): the newest `MOST_ROWS` of them, and all counted."""
    newest = heapq.nlargest(MOST_ROWS, ring, key=lambda record: (record.created_at, record.seq))
    return KeyTable(tuple(_rows(newest, now)), len(ring), Counter(state(record, now) for record in ring))


def _rows(records: Iterable[KeyRecord], now: int) -> Iterable[KeyRow]:
    for record in records:
        caller = record.caller
        yield KeyRow(
            record.id,
            caller.team,
            caller.project,
            caller.name,
            caller.role,
            state(record, now),
            record.created_at,
            record.expires_at,
        )
