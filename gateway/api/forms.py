"""Forms with files: they go on to the provider while they arrive, once the model that they name is known.

Clients differ in where they put the model: OpenAI's own send it before the file, curl in the order that it was typed.
So as much is held as comes before it, up to the limit for bodies that are held whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from gateway.api.asgi import Receive, Scope, Send, check_length, refuse_idempotency, stream_body
from gateway.api.calls import Edge, Request, answer, begin_trip
from gateway.api.watch import ClientWatch
from gateway.dialects.multipart import FieldScanner, boundary
from gateway.errors import InvalidRequest
from gateway.model.endpoint import Endpoint
from gateway.upstream import wire


class UploadForm:
    """Implements `pipeline.Form`."""

    def __init__(
        self,
        content_type: bytes,
        target: str,
        scanner: FieldScanner,
        held: bytes,
        rest: AsyncIterator[bytes],
        length: int | None,
        on_end: Callable[[], None],
    ) -> None:
        self.model = scanner.value
        self._content_type = content_type
        self._target = target
        self._scanner = scanner
        self._held = held
        self._rest = rest
        self.length = length
        self._on_end = on_end

    def send_as(self, model: str) -> wire.Request:
        """See `pipeline.Form`. The model's name is replaced where it stands, or added; not another byte changes."""
        held, length = self._held, self.length
        if model != self.model:
            start, end, named = self._place(model.encode())
            held = held[:start] + named + held[end:]
            length = None if length is None else length + len(named) - (end - start)
        headers = [(b"content-type", self._content_type)]
        return wire.Request("POST", self._target, self._pieces(held), headers, length=length)

    def _place(self, model: bytes) -> tuple[int, int, bytes]:
        """Where the model's name goes (from, to), and what goes there: a part of its own if there is none."""
        scanner = self._scanner
        if self.model is not None:
            return scanner.start, scanner.end, model
        part = b'--%b\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n' % (scanner.boundary, model)
        return scanner.first, scanner.first, part

    async def _pieces(self, held: bytes) -> AsyncIterator[bytes]:
        yield held
        async for piece in self._rest:
            self._scanner.feed(piece)
            yield piece
        self._on_end()


async def read_form(
    receive: Receive,
    headers: dict[bytes, bytes],
    target: str,
    *,
    hold: int,
    limit: int,
    required: bool,
    on_end: Callable[[], None],
) -> UploadForm:
    """Read a form up to the end of its model's name; `hold` and `limit` are bytes held, and in all.

    `on_end` is called when the last of it was read. Raises `InvalidRequest`, `TooLarge`, `ClientGone`.
    """
    refuse_idempotency(headers)
    content_type = headers.get(b"content-type", b"")
    scanner = FieldScanner(boundary(content_type), "model")
    length = check_length(headers, limit)
    pieces = stream_body(receive, limit)
    held = bytearray()
    async for piece in pieces:
        held += piece
        scanner.feed(piece)
        if scanner.value is not None or scanner.closed:
            break
        if len(held) > hold:
            raise InvalidRequest(
                f"The first {hold} bytes of the form name no `model`; send that field before the file.",
                code="missing_field",
                param="model",
            )
    if not scanner.closed and scanner.value is None:
        raise InvalidRequest("The form is incomplete: its last boundary is missing.", code="invalid_form")
    if scanner.value is None and required:
        raise InvalidRequest("`model` is missing; add it to the form.", code="missing_field", param="model")
    return UploadForm(content_type, target, scanner, bytes(held), pieces, length, on_end)


class Uploads:
    """Serves one of `UPLOAD_ENDPOINTS`."""

    def __init__(self, endpoint: Endpoint, edge: Edge) -> None:
        self._endpoint = endpoint
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        edge, endpoint = self._edge, self._endpoint
        view = edge.view
        limits = view.snapshot.settings.server.limits
        headers: dict[bytes, bytes] = dict(scope["headers"])
        trip = begin_trip(scope, headers, endpoint, view)
        watch = ClientWatch(receive, edge.sweep, trip)
        request = Request(headers, receive, limits.max_body_bytes, watch)

        async def read() -> UploadForm:
            return await read_form(
                receive,
                headers,
                endpoint.target,
                hold=limits.max_body_bytes,
                limit=limits.max_upload_bytes,
                required=endpoint.default_model is None,
                on_end=watch.begin,
            )

        await answer(trip, watch, send, edge.pipeline.upload(trip, request, read))
