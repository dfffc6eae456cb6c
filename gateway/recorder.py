"""What a finished call leaves behind: numbers for /metrics and one line in the log. No payload, no key.

Children of metrics are looked up once a label set and kept, so that counting costs stores only.
"""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from gateway.errors import GatewayError, Refusal, UpstreamError, UpstreamTimeout
from gateway.exchange import Exchange
from gateway.model.route import Candidate
from gateway.model.usage import Usage
from gateway.telemetry.families import Counter, Histogram
from gateway.telemetry.logs import AccessLine, AccessLog
from gateway.telemetry.metrics import Metrics, status_label


class _Children(NamedTuple):
    requests: Counter
    duration: Histogram
    overhead: Histogram


class _Tokens(NamedTuple):
    input: Counter
    output: Counter
    cache_read: Counter
    cache_write: Counter
    reasoning: Counter


class Recorder:
    """Implements `attempts.Observer`, and `finish` for the pipeline. `access` is None where no request is logged."""

    def __init__(self, metrics: Metrics, access: AccessLog | None) -> None:
        self.metrics = metrics
        self._access = access
        self._children: dict[tuple[str, str, str, int], _Children] = {}
        self._tokens: dict[tuple[str, str], _Tokens] = {}
        self._first: dict[str, Histogram] = {}

    def finish(self, trip: Exchange, error: GatewayError | None) -> None:
        """Book one call, after its last byte, its refusal or its failure."""
        if error is not None:
            self._note(trip, error)
        elapsed = perf_counter() - trip.began
        route = trip.candidate.route if trip.candidate is not None else ""
        provider = trip.candidate.provider if trip.candidate is not None else ""
        children = self._children.get((trip.endpoint.path, route, provider, trip.status))
        if children is None:
            children = self._resolve(trip.endpoint.path, route, provider, trip.status)
        children.requests.inc()
        children.duration.observe(elapsed)
        children.overhead.observe(max(0.0, elapsed - trip.upstream_s - trip.client_s))
        if trip.usage is not None:
            self._count_tokens(route, trip.usage)
        if trip.stream and trip.first_byte_at:
            self._observe_first(route, trip.first_byte_at - trip.began)
        if self._access is not None:
            self._access.write(_line(trip, route, provider, elapsed))

    def _note(self, trip: Exchange, error: GatewayError) -> None:
        trip.code = error.code
        trip.status = trip.status or error.status
        if isinstance(error, Refusal):
            self.metrics.refusals.labels(code=error.code).inc()
        elif error.status == 499:
            self.metrics.client_disconnects.labels(endpoint=trip.endpoint.path).inc()

    def _resolve(self, path: str, route: str, provider: str, status: int) -> _Children:
        metrics = self.metrics
        children = _Children(
            metrics.requests.labels(endpoint=path, model=route, provider=provider, status=status_label(status)),
            metrics.request_duration.labels(endpoint=path, model=route),
            metrics.overhead.labels(endpoint=path),
        )
        self._children[path, route, provider, status] = children
        return children

    def _count_tokens(self, route: str, usage: Usage) -> None:
        tokens = self._tokens.get((route, usage.source))
        if tokens is None:
            tokens = self._tokens[route, usage.source] = _Tokens(
                *[
                    self.metrics.tokens.labels(model=route, kind=kind, source=usage.source)
                    for kind in ("input", "output", "cache_read", "cache_write", "reasoning")
                ]
            )
        tokens.input.inc(usage.input_tokens)
        tokens.output.inc(usage.output_tokens)
        if usage.cache_read_tokens:
            tokens.cache_read.inc(usage.cache_read_tokens)
        if usage.cache_write_tokens:
            tokens.cache_write.inc(usage.cache_write_tokens)
        if usage.reasoning_tokens:
            tokens.reasoning.inc(usage.reasoning_tokens)

    def _observe_first(self, route: str, seconds: float) -> None:
        first = self._first.get(route)
        if first is None:
            first = self._first[route] = self.metrics.time_to_first_token.labels(model=route)
        first.observe(seconds)

    def failed(self, candidate: Candidate, error: UpstreamError | int) -> None:
        """See `attempts.Observer`."""
        self.metrics.upstream_errors.labels(provider=candidate.provider, kind=_kind(error)).inc()


def _kind(error: UpstreamError | int) -> str:
    if isinstance(error, int):
        return "status_5xx" if error >= 500 else "status_4xx" if error >= 400 else "protocol"
    if isinstance(error, UpstreamTimeout):
        return f"timeout_{error.which}"
    if not error.sent:
        return "connect"
    return "reset" if error.code == "upstream_reset" else "protocol"


def _line(trip: Exchange, route: str, provider: str, elapsed: float) -> AccessLine:
    caller, usage = trip.caller, trip.usage
    return AccessLine(
        request_id=trip.id,
        method=trip.method,
        path=trip.endpoint.path,
        status=trip.status,
        code=trip.code or None,
        key_id=caller.key_id if caller is not None else None,
        team=caller.team if caller is not None else None,
        project=(caller.project or None) if caller is not None else None,
        model=route or None,
        provider=provider or None,
        stream=trip.stream,
        input_tokens=usage.input_tokens if usage is not None else None,
        output_tokens=usage.output_tokens if usage is not None else None,
        usage_source=usage.source if usage is not None else None,
        duration_s=round(elapsed, 6),
        time_to_first_token_s=round(trip.first_byte_at - trip.began, 6) if trip.first_byte_at else None,
        upstream_s=round(trip.upstream_s, 6),
        attempts=trip.attempts,
        bytes_in=trip.bytes_in,
        bytes_out=trip.bytes_out,
        client=trip.client,
        trace_id=trip.trace.trace_id,
    )
