"""Structured log lines: one JSON object a line, requests and all other events alike, in one stream.

A request's line is made on the hot path from fields that the gateway itself fills (ids, names out of the
configuration, numbers), so it is only encoded. Every other event may carry anything, so it goes through the redactor.
No payload is ever handed to either. JSON escapes line ends, so no value can forge a line; the pretty renderer for
terminals escapes control characters itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Literal

import msgspec
import orjson
import structlog

from gateway.telemetry.redact import Redactor
from gateway.telemetry.sink import Sink
from gateway.telemetry.stamp import Stamp

Level = Literal["debug", "info", "warning", "error", "critical"]
Style = Literal["json", "text"]
Event = MutableMapping[str, Any]


class AccessLine(msgspec.Struct, kw_only=True, tag_field="event", tag="request"):
    """What is said of one request. Times are seconds, sizes bytes; `None` means that there was none.

    `path` is the route's template and `model` the configuration's name, never what the client sent. `ts` is set by
    the log.
    """

    ts: str = ""
    level: str = "info"
    request_id: str
    method: str
    path: str
    status: int
    code: str | None = None
    key_id: str | None = None
    team: str | None = None
    project: str | None = None
    model: str | None = None
    provider: str | None = None
    stream: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    usage_source: str | None = None
    duration_s: float
    time_to_first_token_s: float | None = None
    upstream_s: float | None = None
    attempts: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    client: str | None = None
    trace_id: str | None = None


class AccessLog:
    """Writes one line a request. `clock` gives Unix time in seconds."""

    def __init__(self, sink: Sink, style: Style = "json", clock: Callable[[], float] = time.time) -> None:
        self._write = sink.write
        self._clock = clock
        self._stamp = Stamp()
        self._render = msgspec.json.Encoder().encode if style == "json" else _access_text

    def write(self, line: AccessLine) -> None:
        """Never waits, never raises: a line over the sink's bound is dropped and counted there."""
        line.ts = self._stamp(self._clock())
        try:
            text = self._render(line)
        except UnicodeEncodeError:  # a lone surrogate somewhere
            _make_encodable(line)
            text = self._render(line)
        self._write(text + b"\n")


def configure(sink: Sink, *, level: Level = "info", style: Style = "json", redactor: Redactor | None = None) -> None:
    """From now on structlog, the standard library's logging (uvicorn, asyncio) and warnings write to `sink`.

    Replaces what an earlier call, or uvicorn, set up. Let uvicorn run with `log_config=None` and `access_log=False`.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _Redaction(redactor or Redactor()),
        _renderer(style),
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.processors.add_log_level, *shared],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_names: _SinkLogger(sink),
    )
    _take_over_stdlib(_StdlibHandler(sink, shared), number)


class _SinkLogger:
    """What structlog hands finished lines to: every level's method takes the rendered line."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def msg(self, line: bytes) -> None:
        self._sink.write(line)

    log = debug = info = warning = warn = error = critical = fatal = exception = msg


class _StdlibHandler(logging.Handler):
    """Turns a record of the standard library into an event and sends it the same way as ours."""

    def __init__(self, sink: Sink, processors: list[structlog.typing.Processor]) -> None:
        super().__init__()
        self._sink = sink
        self._processors = processors

    def emit(self, record: logging.LogRecord) -> None:
        event: Any = {"event": _message(record), "level": record.levelname.lower(), "logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        try:
            for processor in self._processors:
                event = processor(None, record.levelname.lower(), event)
            self._sink.write(event)
        except Exception:
            self.handleError(record)


def _take_over_stdlib(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for name in ("httpx", "httpx2", "httpcore", "alembic"):  # chatty: each request with its address, each step
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a line that cannot be made must not print itself, unredacted, to stderr


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit the format: a bug of whoever logs, and still worth a line
        return f"{record.msg} {record.args!r}"


class _Redaction:
    """The processor that makes an event plain and harmless, and puts time, level and event first."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._stamp = Stamp()

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        ts = self._stamp(time.time())
        plain = self._redactor.value(event)
        assert isinstance(plain, dict)
        return {"ts": ts, "level": plain.pop("level", "info"), "event": plain.pop("event", ""), **plain}


def _renderer(style: Style) -> structlog.typing.Processor:
    if style == "json":
        return lambda _logger, _method, event: orjson.dumps(event) + b"\n"
    console = structlog.dev.ConsoleRenderer(
        timestamp_key="ts", sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: Any, method: str, event: Event) -> bytes:
        trace = event.pop("exception", None)
        text = console(logger, method, {_escaped(name): _escaped(value) for name, value in event.items()})
        lines = [text] if trace is None else [text, *(_escaped(line) for line in trace.splitlines())]
        return "\n".join(lines).encode() + b"\n"

    return render


def _access_text(line: AccessLine) -> bytes:
    colour = {2: 32, 3: 36, 4: 33, 5: 31}.get(line.status // 100, 0)
    tokens = "" if line.input_tokens is None else f" {line.input_tokens}+{line.output_tokens} tokens"
    words = [line.method, line.path, line.model or "", line.code or "", f"{line.duration_s * 1000:.1f} ms{tokens}"]
    text = _escaped(" ".join(word for word in (*words, line.key_id or "", line.request_id) if word))
    return f"\x1b[2m{line.ts}\x1b[0m \x1b[{colour}m{line.status}\x1b[0m {text}".encode()


def _escaped(value: Any) -> Any:
    """A text as a terminal may show it: controls (colours, cursor moves, line ends) as escapes."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)


def _make_encodable(line: AccessLine) -> None:
    for name in line.__struct_fields__:
        value = getattr(line, name)
        if isinstance(value, str):
            setattr(line, name, value.encode("utf-8", "backslashreplace").decode())
