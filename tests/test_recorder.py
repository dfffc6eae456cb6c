"""What a finished call leaves in the metrics and in the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import BrokenReply, ClientGone, Forbidden, GatewayError, Unreachable, UpstreamError, UpstreamTimeout
from gateway.exchange import Exchange
from gateway.model.endpoint import JSON_ENDPOINTS
from gateway.model.route import Candidate, Timeouts
from gateway.model.usage import Usage
from gateway.recorder import Recorder
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.trace import Trace

CANDIDATE = Candidate("p", "x", "m", Timeouts())


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    metrics = Metrics(tmp_path, 0, "1")
    yield Recorder(metrics, None)
    metrics.close()


def trip(status: int = 200) -> Exchange:
    made = Exchange("id", JSON_ENDPOINTS[0], "POST", "192.0.2.1", Trace("0" * 32, "0" * 16))
    made.candidate = CANDIDATE
    made.status = status
    return made


def test_a_call_is_counted_by_endpoint_model_provider_and_status(recorder: Recorder) -> None:
    call = trip()
    call.usage = Usage(5, 3, source="estimated")
    recorder.finish(call, None)
    metrics = recorder.metrics
    labels = {"endpoint": "/v1/chat/completions", "model": "m", "provider": "p", "status": "200"}
    assert metrics.requests.labels(**labels).value == 1
    assert metrics.tokens.labels(model="m", kind="input", source="estimated").value == 5
    assert metrics.overhead.labels(endpoint="/v1/chat/completions").count == 1


def test_the_time_to_the_first_token_is_that_of_streams(recorder: Recorder) -> None:
    for stream in (True, False):
        call = trip()
        call.stream, call.first_byte_at = stream, call.began + 0.5
        recorder.finish(call, None)
    found = recorder.metrics.time_to_first_token.labels(model="m")
    assert found.count == 1 and found.sum == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Forbidden("no", code="model_not_allowed"), 403, "model_not_allowed"),
        (ClientGone("gone"), 499, "client_closed_request"),
        (BrokenReply("cut"), 502, "upstream_broken_reply"),
        (GatewayError("oops"), 500, "internal_error"),
    ],
)
def test_an_error_gives_its_status_and_code(recorder: Recorder, error: GatewayError, status: int, code: str) -> None:
    call = trip(0)
    recorder.finish(call, error)
    assert (call.status, call.code) == (status, code)
    assert recorder.metrics.refusals.labels(code=code).value == isinstance(error, Forbidden)
    gone = recorder.metrics.client_disconnects.labels(endpoint="/v1/chat/completions").value
    assert gone == (status == 499)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Unreachable("no"), "connect"),
        (UpstreamTimeout("connect", 1), "timeout_connect"),
        (UpstreamTimeout("first_byte", 1), "timeout_first_byte"),
        (UpstreamTimeout("idle", 1), "timeout_idle"),
        (UpstreamTimeout("total", 1), "timeout_total"),
        (BrokenReply("reset", code="upstream_reset"), "reset"),
        (BrokenReply("odd"), "protocol"),
        (503, "status_5xx"),
        (429, "status_4xx"),
        (302, "protocol"),
    ],
)
def test_a_failed_attempt_is_counted_by_its_kind(recorder: Recorder, error: UpstreamError | int, kind: str) -> None:
    recorder.failed(CANDIDATE, error)
    assert recorder.metrics.upstream_errors.labels(provider="p", kind=kind).value == 1
    assert recorder.metrics.metrics_overflow.value == 0
