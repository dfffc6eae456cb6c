"""The state of one call: all that is known of it so far, and in the end what its record says."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

from gateway.access.attribution import NOBODY
from gateway.booking import Booking
from gateway.model.caller import Caller
from gateway.model.chat import ChatRequest
from gateway.model.endpoint import Endpoint
from gateway.model.route import Candidate
from gateway.model.usage import Usage
from gateway.telemetry.trace import Trace


class Exchange:
    """One call. Times are seconds of `perf_counter`; bytes are those of bodies."""

    __slots__ = (
        "answering_model",
        "attempts",
        "attribution",
        "began",
        "booking",
        "bytes_in",
        "bytes_out",
        "caller",
        "candidate",
        "client",
        "client_left",
        "client_s",
        "code",
        "endpoint",
        "entered",
        "finished",
        "first_byte_at",
        "id",
        "is_answered",
        "limit_headers",
        "method",
        "model",
        "request",
        "route",
        "sent_at",
        "show_cost",
        "status",
        "stream",
        "streaming",
        "trace",
        "units",
        "upstream_s",
        "usage",
    )

    def __init__(self, id: str, endpoint: Endpoint, method: str, client: str, trace: Trace) -> None:
        self.id = id
        self.endpoint = endpoint
        self.method = method
        self.client = client
        self.trace = trace
        self.began = perf_counter()
        self.caller: Caller | None = None
        self.candidate: Candidate | None = None  # the one that answers, or was tried last
        self.model = ""  # as the caller named it
        self.route = ""  # that of the first candidate
        self.request: ChatRequest | None = None
        self.units: Mapping[str, int] = {}  # what was asked for that is not tokens
        self.show_cost = False  # the stream's usage is to say what it costs
        self.attribution = NOBODY
        self.booking: Booking | None = None  # of the attempt that runs, or ran last
        self.limit_headers: list[tuple[bytes, bytes]] = []  # what the caller is told of its limits
        self.answering_model = ""
        self.stream = False
        self.status = 0
        self.code = ""
        self.usage: Usage | None = None
        self.attempts = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.upstream_s = 0.0  # waiting for the provider, all attempts together
        self.client_s = 0.0  # waiting for the client to send its body or take its answer
        self.first_byte_at = 0.0
        self.sent_at = 0.0
        self.entered = False  # counted as in flight
        self.streaming = False  # counted as a stream
        self.client_left = False  # nobody waits for its answer any more
        self.is_answered = False  # its status is out, so it can no longer be another
        self.finished = False
