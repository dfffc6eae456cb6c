"""The data port in one process: clients that speak ASGI, providers that play scripts or say given bytes, no sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from gateway.app import DataPort
from gateway.config.loader import Loader
from gateway.errors import GatewayError, UpstreamError
from gateway.model.record import Attempt
from gateway.runtime import Process, Runtime
from gateway.store.spec import KeySpec
from gateway.telemetry.sink import Sink
from gateway.upstream.wire import Headers, Reply, Request, Upstream
from gateway.upstreams import View

CONFIG = """
providers:
  p: {kind: scripted, script: p.yaml}
  q: {kind: scripted, script: q.yaml}
models:
  m: {deployments: [{provider: p, model: m}]}
  renamed: {deployments: [{provider: p, model: m-at-the-provider}]}
  "open/*": {deployments: [{provider: p, model: "*"}]}
  two: {deployments: [{provider: p, model: m, weight: 9}, {provider: q, model: m, weight: 1}]}
  fallback: {deployments: [{provider: p, model: m}], fallbacks: [only-q]}
  only-q: {deployments: [{provider: q, model: m}]}
  omni-moderation-latest: {deployments: [{provider: p, model: m}]}
  gpt-image-1: {deployments: [{provider: p, model: gpt-image-1}]}
passthrough: {default: p}
"""
SCRIPT = """
models: ["*"]
replies:
  - when: {endpoint: chat, tool: wanted}
    tool_calls: auto
  - when: {endpoint: chat, format: json_schema}
    json: auto
  - when: {endpoint: chat}
    text: "You said: {{ question }}"
  - when: {endpoint: completions}
    text: " and so on."
"""
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello there"}]}
SSE = [(b"content-type", b"text/event-stream")]
JSON = [(b"content-type", b"application/json")]
Step = bytes | GatewayError | None
"""What a canned provider does next: say bytes, break, or (None) stay silent until somebody gives up."""


class Lines(Sink):
    """The access log, kept."""

    def __init__(self) -> None:
        super().__init__(2)
        self.lines: list[dict[str, Any]] = []

    def write(self, line: bytes) -> None:
        self.lines.append(orjson.loads(line))


@dataclass
class Canned:
    """A provider that says given bytes to one request after the other. Implements `wire.Upstream`, and so its reply."""

    steps: Sequence[Step]
    status: int = 200
    headers: Headers = field(default_factory=lambda: list(JSON))
    requests: list[Request] = field(default_factory=list)
    closed: int = 0
    idle: int = 0
    active: int = 0

    async def send(self, request: Request) -> Reply:
        first = self.steps[0]
        is_sent = not (isinstance(first, UpstreamError) and not first.sent and self.status == 0)
        if is_sent and request.on_send is not None:
            request.on_send()
        if request.body is not None and not isinstance(request.body, bytes):
            request.body = b"".join([piece async for piece in request.body])
        self.requests.append(request)
        if isinstance(first, GatewayError) and self.status == 0:
            raise first
        return CannedReply(self)

    async def aclose(self) -> None:
        return None

    @property
    def body(self) -> bytes:
        """What the last request's body was."""
        body = self.requests[-1].body
        assert isinstance(body, bytes)
        return body

    @property
    def sent(self) -> Any:
        """The same, decoded."""
        return orjson.loads(self.body)


class CannedReply:
    """Implements `wire.Reply`."""

    def __init__(self, provider: Canned) -> None:
        self.status = provider.status
        self.headers = list(provider.headers)
        self._steps = iter(provider.steps)
        self._provider = provider
        self._open = True

    async def read(self) -> bytes:
        for step in self._steps:
            if isinstance(step, GatewayError):
                raise step
            if step is None:
                await asyncio.get_running_loop().create_future()
            elif step:
                return step
        return b""

    async def read_all(self, limit: int) -> bytes:
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self._provider.closed += self._open
        self._open = False

    def fail(self, error: GatewayError) -> None:
        raise AssertionError("nothing is swept here")


class Spy:
    """Hands on to another provider and remembers what it was sent. Implements `wire.Upstream`."""

    def __init__(self, upstream: Any) -> None:
        self._upstream = upstream
        self.requests: list[Request] = []

    @property
    def idle(self) -> int:
        return int(self._upstream.idle)

    @property
    def active(self) -> int:
        return int(self._upstream.active)

    async def send(self, request: Request) -> Reply:
        if request.body is not None and not isinstance(request.body, bytes):
            request.body = b"".join([piece async for piece in request.body])
        self.requests.append(request)
        reply: Reply = await self._upstream.send(request)
        return reply

    async def aclose(self) -> None:
        await self._upstream.aclose()

    @property
    def last(self) -> Request:
        return self.requests[-1]

    @property
    def body(self) -> bytes:
        assert isinstance(self.last.body, bytes)
        return self.last.body


@dataclass
class Answer:
    """What a client got."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    whole: bool = False
    """Whether the body ended as it should."""

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def code(self) -> Any:
        return self.error["code"]

    def header(self, name: str) -> str | None:
        found = [value.decode() for key, value in self.headers if key == name.encode()]
        assert len(found) < 2, f"{name} twice"
        return found[0] if found else None


class World:
    """A gateway and a key for it. `folder` is where its files go; `prices` is the text of its prices.yaml."""

    def __init__(self, folder: Path, config: str = CONFIG, script: str = SCRIPT, prices: str = "") -> None:
        if prices:
            self.prices = folder / "prices.yaml"
            self.prices.write_text(prices)
            config += f"prices: {{path: {self.prices}}}\n"
        (folder / "gateway.yaml").write_text(config)
        for name in ("p", "q"):
            (folder / f"{name}.yaml").write_text(script)
        (folder / "run").mkdir()
        self.log = Lines()
        loader = Loader(folder / "gateway.yaml", {}, folder / "data")
        process = Process(0, 1, folder / "run", folder / "data")
        (folder / "data").mkdir()
        self.runtime = Runtime(process, loader, loader.load(), self.log, "json")
        self.data = DataPort(self.runtime)
        self.key = self.new_key()

    async def close(self) -> None:
        await self.runtime.close()
        self.log.close()

    def new_key(self, **spec: Any) -> str:
        """A key that is known from now on."""
        _, text = self.runtime.keystore.create(KeySpec(**{"team": "red", **spec}))
        self.follow()
        return text

    def follow(self) -> None:
        """Take in what changed about keys."""
        self.runtime.keys.ring.apply(self.runtime.keystore.changes(self.runtime.keys.ring.seq))

    def put(self, name: str, upstream: Upstream, **more: Any) -> None:
        """Let `upstream` stand for the provider `name`; `more` are other members of its `Served`."""
        view = self.runtime.view
        served = {**view.served, name: replace(view.served[name], upstream=upstream, **more)}
        self.runtime.view = View(view.snapshot, served)

    def canned(self, *steps: Step, provider: str = "p", status: int = 200, headers: Headers | None = None) -> Canned:
        """Let a provider say given bytes."""
        made = Canned(steps, status, list(JSON) if headers is None else headers)
        self.put(provider, made)
        return made

    def spy(self, provider: str = "p") -> Spy:
        """Remember what a provider is sent."""
        made = Spy(self.runtime.view.served[provider].upstream)
        self.put(provider, made)
        return made

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | object = b"",
        *,
        key: str | None = "",
        headers: Iterable[tuple[str, str]] = (),
        pieces: Sequence[bytes] | None = None,
        leave_after: int | None = None,
        peer: tuple[str, int] | None = ("192.0.2.1", 999),
    ) -> Answer:
        """One request. `pieces` is the body as it arrives; after `leave_after` pieces of the answer the client goes.

        With `pieces` and `leave_after=0` it goes before its body is whole.
        """
        if not isinstance(body, bytes):
            body = orjson.dumps(body)
        path, _, query = path.partition("?")
        sent = [("host", "gateway.test"), *([] if key is None else [("authorization", f"Bearer {key or self.key}")])]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in [*sent, *headers]],
            "client": peer,
        }
        unfinished = pieces is not None and leave_after == 0
        client = _Client([body] if pieces is None else pieces, leave_after, unfinished)
        await asyncio.wait_for(self.data(scope, client.receive, client.send), 10)
        return client.answer

    async def post(self, path: str, body: bytes | object, **more: Any) -> Answer:
        return await self.call("POST", f"/v1{path}", body, **more)

    async def chat(self, model: str = "m", content: str = "hello there", *, sent: Any = None, **more: Any) -> Answer:
        """A chat; `sent` are its options, `more` those of `call`."""
        body = {"model": model, "messages": [{"role": "user", "content": content}], **(sent or {})}
        return await self.post("/chat/completions", body, **more)

    # What is left behind

    @property
    def line(self) -> dict[str, Any]:
        """The access line of the only call, which has ended."""
        assert len(self.log.lines) == 1, self.log.lines
        self.check_idle()
        return self.log.lines[0]

    async def attempts(self) -> list[Attempt]:
        """All of the ledger, the first first, when nothing waits to be written; nothing may have been left open."""
        await self.settle_down()
        assert self.runtime.ledger.state().in_flight == 0
        found = list(reversed(self.runtime.reader.list(limit=1000).attempts))
        assert all(attempt.settlement is not None for attempt in found), found
        audit = self.runtime.reader.verify()
        assert not audit.faults, audit
        return found

    async def settle_down(self) -> None:
        """Wait until the ledger has written what it knows."""
        for _ in range(500):
            if not self.runtime.ledger.state().queued:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the ledger does not get done")

    def held(self) -> int:
        """What calls hold in all budgets together, in the units of each."""
        return sum(lease.held for lease in self.runtime.limits._leases)

    def check_idle(self) -> None:
        """Nothing is at work, nothing leaked."""
        metrics = self.runtime.metrics
        assert metrics.in_flight.value == 0 and metrics.streams.value == 0
        assert self.data._edge.pipeline.in_flight == 0
        assert all(served.upstream.active == 0 for served in self.runtime.view.served.values())  # type: ignore[attr-defined]
        assert len(self.runtime.sweep) == 0


class _Client:
    """One client: ASGI's `receive` and `send`, which hold the application to the protocol."""

    def __init__(self, pieces: Sequence[bytes], leave_after: int | None, unfinished: bool) -> None:
        self.answer = Answer()
        self._unfinished = unfinished
        self._pieces = list(pieces)
        self._leave_after = leave_after
        self._gone = asyncio.Event()
        if leave_after == 0:
            self._gone.set()

    async def receive(self) -> dict[str, Any]:
        if self._pieces:
            body = self._pieces.pop(0)
            return {"type": "http.request", "body": body, "more_body": self._unfinished or bool(self._pieces)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        answer = self.answer
        if message["type"] == "http.response.start":
            assert answer.status == 0, "started twice"
            answer.status, answer.headers = message["status"], list(message["headers"])
            assert all(name == name.lower() for name, _ in answer.headers)
            assert not any(b"\r" in value or b"\n" in value for _, value in answer.headers)
            return
        assert answer.status and not answer.whole
        if message["body"]:
            answer.pieces.append(message["body"])
        if not message.get("more_body"):
            answer.whole = True
            length = answer.header("content-length")
            assert length is None or int(length) == len(answer.body)
        if self._leave_after is not None and len(answer.pieces) >= self._leave_after:
            self._gone.set()


def form(*parts: tuple[str, str | bytes], boundary: str = "XX", file: str = "file") -> bytes:
    """A form as clients write it; the part named `file` is a file."""
    out = b""
    for name, value in parts:
        data = value.encode() if isinstance(value, str) else value
        more = '; filename="a.wav"\r\nContent-Type: audio/wav' if name == file else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        out += head.encode() + data + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


MULTIPART = [("content-type", "multipart/form-data; boundary=XX")]
