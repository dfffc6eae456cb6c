"""Events to the events of a streamed response, as OpenAI writes them, and to a whole response.

Texts and refusals that follow one another are one message, a part each where a `Break` stands between them. Thoughts
are items with a summary; calls are open until the answer stops, since their arguments may come in turns. There is one
choice, and no word for sound in an answer: those are left out, as is what only another dialect knows.

A whole response is that of the stream's last event, so the two cannot say different things.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from gateway.dialects import openai
from gateway.dialects.base import Head
from gateway.dialects.chat import pieces
from gateway.dialects.responses import thoughts, whole
from gateway.dialects.responses.items import (
    CallItem,
    Growing,
    MessageItem,
    Piece,
    ReasoningItem,
    Status,
    WholeItem,
    alone,
    dump,
)
from gateway.errors import GatewayError, UpstreamError
from gateway.model.conversation import Reasoning
from gateway.model.events import (
    Break,
    CitationDelta,
    Event,
    Failed,
    LogprobsDelta,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    StopReason,
    TextDelta,
    ToolDelta,
    UsageReport,
)


class StreamEncoder:
    """Events to a client's stream, every event of it numbered. Choices but the first are left out."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._response = whole.begun(head)
        self._out: list[bytes] = []
        self._number = 0  # of the next event
        self._items: list[Growing] = []
        self._open: MessageItem | ReasoningItem | None = None
        self._text: Piece | None = None  # the last text, which citations are of
        self._calls: dict[int, CallItem] = {}
        self._done: dict[int, Status] = {}  # items that were told to be done, and how
        self._held = ""  # text that goes with the log-probabilities that come next
        self._started = self._ended = self._refused = False
        self._reason: StopReason | None = None
        self._report: UsageReport | None = None

    def feed(self, events: Sequence[Event]) -> bytes:
        """What `events` are; empty if nothing is to be said yet."""
        for at, event in enumerate(events):
            kind = type(event)
            if kind is TextDelta:
                if not event.index and event.text:  # type: ignore[union-attr]
                    following = events[at + 1] if at + 1 < len(events) else None
                    self._say_text(event.text, following)  # type: ignore[union-attr]
            elif not getattr(event, "index", 0):
                taker = _TAKERS.get(kind)
                if taker is not None:
                    taker(self, event)
        return self._flush()

    def _flush(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)

    def _say(self, kind: str, **members: Any) -> None:
        data = dump({"type": kind, "sequence_number": self._number, **members})
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))
        self._number += 1

    def _start(self, event: Event | None = None) -> None:
        if not self._started:
            self._started = True
            self._say("response.created", response=self._response)
            self._say("response.in_progress", response=self._response)

    # Text

    def _piece(self, kind: str) -> Piece:
        """The part of `kind` of the message at hand, which is begun if there is none."""
        message = self._open
        if not isinstance(message, MessageItem):
            self._start()
            self._shut()
            message = self._open = MessageItem(self._id("msg"), len(self._items))
            self._add(message)
        return message.piece(kind, self._say)

    def _is_open(self, piece: Piece) -> bool:
        return isinstance(self._open, MessageItem) and self._open.open is piece

    def _say_text(self, text: str, following: Event | None) -> None:
        piece = self._text
        if piece is None or not self._is_open(piece):
            piece = self._text = self._piece("output_text")
        piece.texts.append(text)
        if type(following) is LogprobsDelta and not following.index:
            self._held = text
        else:
            self._delta(piece, text, b',"logprobs":[]}\n\n')

    def _grow(self, of: Piece | ReasoningItem | CallItem, text: str) -> None:
        of.texts.append(text)
        self._delta(of, text, b"}\n\n")

    def _delta(self, piece: Piece | ReasoningItem | CallItem, text: str, end: bytes) -> None:
        self._out.append(piece.head + b'%d,"delta":%b' % (self._number, dump(text)) + end)
        self._number += 1

    def _logprobs(self, event: LogprobsDelta) -> None:
        piece = self._text if self._text is not None else self._piece("output_text")
        self._text = piece
        found = piece.add_logprobs(event.tokens)
        text, self._held = self._held, ""
        if self._is_open(piece):
            self._delta(piece, text, b',"logprobs":%b}\n\n' % dump(found))

    def _refusal(self, event: RefusalDelta) -> None:
        if not event.text:
            return
        self._refused = True
        piece = self._piece("refusal")
        self._grow(piece, event.text)

    def _citation(self, event: CitationDelta) -> None:
        piece = self._text if self._text is not None else self._piece("output_text")
        self._text = piece
        found = piece.cite(event.citation)
        if found is not None and self._is_open(piece):
            place = len(piece.annotations) - 1
            self._say("response.output_text.annotation.added", **piece.at, annotation_index=place, annotation=found)

    # Items

    def _id(self, kind: str) -> str:
        """An id for the next item, the same wherever it is made of the same answer."""
        made = f"{self._head.id}/{len(self._items)}".encode()
        return f"{kind}_{blake2b(made, digest_size=24).hexdigest()}"

    def _add(self, item: Growing) -> None:
        self._items.append(item)
        self._say("response.output_item.added", output_index=item.index, item=item.whole("in_progress"))

    def _finish(self, item: Growing, status: Status = "completed") -> None:
        item.end(self._say)
        self._done[item.index] = status
        self._say("response.output_item.done", output_index=item.index, item=item.whole(status))

    def _shut(self, status: Status = "completed") -> None:
        """End the message or the thought at hand."""
        if self._open is not None:
            self._finish(self._open, status)
            self._open = None

    def _thought(self, event: ReasoningDelta) -> None:
        id_, redacted = thoughts.opened(Reasoning("", "", event.redacted, event.id))
        if not (event.text or event.signature or redacted or id_):
            return
        thought = self._open
        if not isinstance(thought, ReasoningItem) or _is_another(thought, event, id_, redacted):
            self._start()
            self._shut()
            thought = self._open = ReasoningItem(id_ or self._id("rs"), len(self._items))
            self._add(thought)
        thought.signature = event.signature or thought.signature
        thought.redacted = redacted or thought.redacted
        if event.text:
            if not thought.texts:
                thought.begin(self._say)
            self._grow(thought, event.text)

    def _call(self, event: ToolDelta) -> None:
        call = self._calls.get(event.call)
        if call is None:
            self._start()
            self._shut()
            index = len(self._items)
            given = event.id or pieces.made_id(self._head, 0, event.call)
            call = self._calls[event.call] = CallItem(self._id("fc"), index, given, event.name)
            call.signature = event.signature
            self._add(call)
        if call.index in self._done:
            return  # the answer has stopped
        call.name = call.name or event.name
        call.signature = event.signature or call.signature
        if event.arguments:
            self._grow(call, event.arguments)

    def _part(self, event: PartDelta) -> None:
        item = alone(event.part, self._id)
        if item is not None:
            self._start()
            self._shut()
            found = WholeItem(len(self._items), item)
            self._add(found)
            self._finish(found)

    def _break(self, event: Break) -> None:
        if isinstance(self._open, MessageItem):
            self._open.shut(self._say)
        else:
            self._shut()
        self._text = None

    # The end

    def _stop(self, event: Stop) -> None:
        """Everything is done but the count."""
        self._start()
        self._reason = event.reason
        self._end_items("incomplete" if whole.incomplete(event.reason, refused=self._refused) else "completed")

    def _end_items(self, status: Status) -> None:
        self._shut(status)
        for item in self._items:
            if item.index not in self._done:
                self._finish(item, status)

    def _usage(self, event: UsageReport) -> None:
        self._report = event

    def _failed(self, event: Failed) -> None:
        self._fail(UpstreamError(event.message))

    def _fail(self, error: GatewayError) -> None:
        if self._ended:
            return
        self._ended = True
        whole.failed(self._response, self._output("incomplete"), error, self._report)
        if self._started:
            self._say("response.failed", response=self._response)
        said = {"code": error.code, "message": error.message, "param": error.param}
        # OpenAI's clients raise what has a member `error`
        self._say("error", **said, error={"type": error.type, **said})

    def _output(self, status: Status) -> list[dict[str, Any]]:
        return [item.whole(self._done.get(item.index, status)) for item in self._items]

    def close(self) -> bytes:
        """The end of the stream: the whole response. Nothing after a failure."""
        if not self._ended:
            self.finish()
            kind = "response.incomplete" if self._response["status"] == "incomplete" else "response.completed"
            self._say(kind, response=self._response)
        return self._flush()

    def fail(self, error: GatewayError) -> bytes:
        """The last events of a stream that failed."""
        self._fail(error)
        return self._flush()

    def finish(self) -> dict[str, Any]:
        """The whole response."""
        if not self._ended:
            self._ended = True
            self._start()
            why = whole.incomplete(self._reason, refused=self._refused)
            self._end_items("incomplete" if why else "completed")
            whole.ended(self._response, self._output("completed"), why, self._report)
        return self._response


def _is_another(open_: ReasoningItem, event: ReasoningDelta, id_: str, redacted: str) -> bool:
    """What comes once a thought has come already, or is bound to another id: this is the next thought."""
    return bool(
        (event.signature and open_.signature)
        or (redacted and open_.redacted)
        or (id_.startswith("rs_") and id_ != open_.id)
    )


_TAKERS: dict[type, Any] = {
    Start: StreamEncoder._start,
    LogprobsDelta: StreamEncoder._logprobs,
    RefusalDelta: StreamEncoder._refusal,
    CitationDelta: StreamEncoder._citation,
    ReasoningDelta: StreamEncoder._thought,
    ToolDelta: StreamEncoder._call,
    PartDelta: StreamEncoder._part,
    Break: StreamEncoder._break,
    Stop: StreamEncoder._stop,
    UsageReport: StreamEncoder._usage,
    Failed: StreamEncoder._failed,
}


def unary(head: Head, events: Iterable[Event]) -> bytes:
    """The whole response that `events` add up to."""
    encoder = StreamEncoder(head)
    encoder.feed(list(events))
    return dump(encoder.finish())


def error_body(error: GatewayError) -> bytes:
    """An error in OpenAI's shape."""
    return openai.error_body(error.message, error.type, error.param, error.code)
