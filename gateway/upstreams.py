"""The providers of one snapshot, ready to be sent to: what a section of the configuration says, as a live object.

A reload keeps the upstream of every provider whose settings did not change, with its warm connections, and closes the
others when their last call ends.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from urllib.parse import urlsplit

import gateway.providers as provider_kinds
from gateway import __version__
from gateway.config.routes import OpenAIProvider, Provider, ScriptedProvider
from gateway.config.snapshot import Snapshot
from gateway.providers import base
from gateway.providers.scripting import Player, builtin, load
from gateway.registry import Plugin, discover
from gateway.telemetry.families import Counter
from gateway.telemetry.metrics import Metrics
from gateway.upstream.pool import Origin, Outcome, Pool
from gateway.upstream.scripted import ScriptedUpstream
from gateway.upstream.sweep import Sweep
from gateway.upstream.wire import Headers, Upstream


def kinds(package: ModuleType = provider_kinds) -> dict[str, Plugin]:
    """The kinds of providers that are installed, by name."""
    return discover(package, "PROVIDER", lambda provider: str(provider.kind))


@dataclass(frozen=True, slots=True)
class Served:
    """One provider of one snapshot. `ask_usage`: it knows `stream_options`."""

    name: str
    settings: Provider
    provider: base.Provider
    upstream: Upstream
    ask_usage: bool


@dataclass(frozen=True, slots=True)
class View:
    """What a call sees for all its life: a snapshot, and the providers that it names."""

    snapshot: Snapshot
    served: Mapping[str, Served]


class PoolObserver:
    """Counts what the pool of one provider does."""

    def __init__(self, metrics: Metrics, provider: str) -> None:
        self._connects = metrics.upstream_connects
        self._provider = provider
        self._retries: Counter = metrics.upstream_retries.labels(provider=provider)

    def connected(self, outcome: Outcome) -> None:
        """See `pool.Observer`."""
        label = "error" if outcome == "address_refused" else outcome
        self._connects.labels(provider=self._provider, outcome=label).inc()

    def retried(self) -> None:
        """See `pool.Observer`."""
        self._retries.inc()


def open_view(
    snapshot: Snapshot,
    sweep: Sweep,
    observe: Callable[[str], PoolObserver],
    plugins: Mapping[str, Plugin],
    previous: View | None = None,
) -> View:
    """The view of `snapshot`, with the upstreams of `previous` where their settings are the same."""
    served: dict[str, Served] = {}
    for name, settings in snapshot.settings.providers.items():
        before = _unchanged(name, snapshot, previous)
        if before is not None:
            served[name] = before
            continue
        upstream = _open_upstream(settings, sweep, observe(name))
        ask_usage = settings.ask_stream_usage if isinstance(settings, OpenAIProvider) else True
        served[name] = Served(name, settings, plugins[settings.kind].value, upstream, ask_usage)
    return View(snapshot, served)


def _unchanged(name: str, snapshot: Snapshot, previous: View | None) -> Served | None:
    """The provider as it was, if neither its settings nor the files that they name have changed."""
    before = previous.served.get(name) if previous is not None else None
    if previous is None or before is None or before.settings != snapshot.settings.providers[name]:
        return None
    return before if previous.snapshot.files.get(name) == snapshot.files.get(name) else None


def _open_upstream(settings: Provider, sweep: Sweep, observer: PoolObserver) -> Upstream:
    match settings:
        case OpenAIProvider():
            return Pool(_origin(settings), sweep, observer, max_connections=settings.max_connections)
        case ScriptedProvider():
            script = builtin() if settings.script is None else load(settings.script)
            return ScriptedUpstream(Player(script), sweep)


def _origin(settings: OpenAIProvider) -> Origin:
    url = urlsplit(settings.base_url)
    scheme = "https" if url.scheme == "https" else "http"
    headers: Headers = [(b"user-agent", f"llm-gateway/{__version__}".encode())]
    if settings.api_key is not None:
        headers.append((b"authorization", b"Bearer " + settings.api_key.get_secret_value().encode()))
    headers += [(name.encode(), value.get_secret_value().encode()) for name, value in settings.headers.items()]
    assert url.hostname is not None  # the settings have checked it
    return Origin(
        "https" if scheme == "https" else "http",
        url.hostname,
        url.port or (443 if scheme == "https" else 80),
        url.path.rstrip("/"),
        tuple(headers),
        settings.allow_private,
        _tls(settings) if scheme == "https" else None,
    )


def _tls(settings: OpenAIProvider) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls.ca_file is not None:
        context.load_verify_locations(settings.tls.ca_file)
    return context


async def close_view(view: View, successor: View | None = None) -> None:
    """Close the upstreams of `view` that `successor` does not go on with."""
    kept = {id(served.upstream) for served in successor.served.values()} if successor is not None else set()
    for served in view.served.values():
        if id(served.upstream) not in kept:
            await served.upstream.aclose()
