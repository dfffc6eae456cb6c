"""Gemini's replies to events, streamed in either way or whole.

Every chunk of a stream is a whole `GenerateContentResponse` with what has come since the one before. The answer is
complete when each candidate that was begun has its finish reason, or when the prompt was blocked. A function call is
in one piece, except where Vertex AI was asked to stream arguments. The counts in a chunk are those up to there, so the
last one says it all; before an answer is finished they are passed on only where they count it.
"""

from __future__ import annotations

from gateway.dialects.gemini import sources
from gateway.dialects.gemini.counts import tier_of, usage_of
from gateway.dialects.gemini.framing import Array, Events, Piece
from gateway.dialects.gemini.partial import Growing
from gateway.dialects.gemini.wire import (
    OPAQUE,
    STOPS,
    UNFINISHED,
    Candidate,
    Counts,
    Logprobs,
    Part,
    Reply,
    read_reply,
)
from gateway.dialects.gemini.words import kept_thought, kind_of
from gateway.errors import BrokenReply
from gateway.model.conversation import Citation, Media, Opaque
from gateway.model.conversation import Part as ConversationPart
from gateway.model.events import (
    CitationDelta,
    Event,
    Failed,
    LogprobsDelta,
    PartDelta,
    Passed,
    ReasoningDelta,
    Start,
    Stop,
    StopReason,
    TextDelta,
    ToolDelta,
    UsageReport,
)

_NO_PARTS: list[Part] = []


class Answer:
    """What has come of one answer, and what that means: `take` a chunk, get its events."""

    def __init__(self) -> None:
        self._model: str | None = None
        self._calls: dict[int, int] = {}
        self._growing: dict[int, Growing] = {}
        self._cited: set[tuple[int, str, str, str]] = set()
        self._open: set[int] = set()
        self._stopped: set[int] = set()
        self._searched: set[str] = set()
        self._owed: UsageReport | None = None  # counts that came too early to be told
        self.failed = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing more needs to come."""
        return self.failed or bool(self._stopped and not self._open)

    def take(self, reply: Reply, raw: bytes) -> list[Event]:
        """The events of one chunk; the first of them carries `raw`."""
        if reply.error is not None:
            self.failed = True
            return [Failed(reply.error.message or "The provider reported an error.", raw)]
        events: list[Event] = []
        model = reply.model_version
        if self._model is None or (model and model != self._model):
            self._model = model or ""
            events.append(Start(self._model, raw, reply.response_id or ""))
            raw = b""
        if reply.candidates:
            for candidate in reply.candidates:
                raw = self._candidate(candidate, raw, events)
        elif reply.prompt_feedback is not None and reply.prompt_feedback.block_reason:
            raw = self._stop("content_filter", 0, raw, events)
        if reply.usage_metadata is not None:
            self._count(reply.usage_metadata, bool(reply.candidates), raw, events)
        if not events:
            events.append(Passed(raw))
        return events

    def rest(self) -> list[Event]:
        """What is still owed when the answer has ended; nothing if it failed, as the counts are of its beginning."""
        return [self._owed] if self._owed is not None and not self.failed else []

    def _candidate(self, candidate: Candidate, raw: bytes, events: list[Event]) -> bytes:
        index = candidate.index
        if index not in self._stopped:
            self._open.add(index)
        content = candidate.content
        for part in (content.parts if content is not None else None) or _NO_PARTS:
            text = part.text
            if text is not None and not part.thought and part.thought_signature is None and not part.part_metadata:
                if text:
                    events.append(TextDelta(text, index, raw))
                    raw = b""
            else:
                raw = self._part(part, index, raw, events)
        if candidate.logprobs_result is not None and (tokens := _tokens(candidate.logprobs_result)):
            events.append(LogprobsDelta(tokens, index, raw))
            raw = b""
        if candidate.grounding_metadata is not None or candidate.citation_metadata is not None:
            raw = self._cite(candidate, raw, events)
        if candidate.finish_reason is not None and candidate.finish_reason != UNFINISHED:
            raw = self._finish(candidate.finish_reason, index, raw, events)
        return raw

    def _part(self, part: Part, index: int, raw: bytes, events: list[Event]) -> bytes:
        """A part that is not only text."""
        signature = part.thought_signature or ""
        call = part.function_call
        if part.text and not part.thought:
            events.append(TextDelta(part.text, index, raw))
            raw = b""
        if call is not None:
            if call.will_continue or call.partial_args is not None or index in self._growing:
                self._growing.setdefault(index, Growing()).add(call, signature)
                return raw if call.will_continue else self._call_grown(index, raw, events)
            arguments = bytes(call.args).decode()
            arguments = "{}" if arguments in ("", "null") else arguments
            events.append(self._call(arguments, call.name, call.id, index, raw, signature))
            return b""
        text = (part.text or "") if part.thought else ""
        found: Event | None = None
        if part.part_metadata is not None and (kept := kept_thought(text, signature, part.part_metadata)) is not None:
            found = ReasoningDelta(text, index, raw, kept.signature, kept.redacted, kept.id)
        elif text or signature:
            found = ReasoningDelta(text, index, raw, signature)
        if found is not None:
            events.append(found)
            raw = b""
        return self._other(part, index, raw, events)

    def _other(self, part: Part, index: int, raw: bytes, events: list[Event]) -> bytes:
        """Media, and what only Gemini has."""
        found: ConversationPart
        if (blob := part.inline_data) is not None:
            found = Media(kind_of(blob.mime_type), blob.data, media_type=blob.mime_type)
        elif (file := part.file_data) is not None:
            found = Media(kind_of(file.mime_type, file.file_uri), url=file.file_uri, media_type=file.mime_type)
        else:
            named = ((member, getattr(part, name)) for member, name in OPAQUE)
            member, value = next((one for one in named if one[1] is not None), ("", None))
            if value is None:
                return raw
            found = Opaque("gemini", f"candidates[{index}].content.parts.{member}", {member: value})
        events.append(PartDelta(found, index, raw))
        return b""

    def _call_grown(self, index: int, raw: bytes, events: list[Event]) -> bytes:
        one = self._growing.pop(index)
        events.append(self._call(one.arguments(), one.name, one.id, index, raw, one.signature))
        return b""

    def _call(
        self, arguments: str, name: str | None, id: str | None, index: int, raw: bytes, signature: str
    ) -> ToolDelta:
        number = self._calls.get(index, 0)
        self._calls[index] = number + 1
        return ToolDelta(number, arguments, name or "", id or "", index, raw, signature)

    def _cite(self, candidate: Candidate, raw: bytes, events: list[Event]) -> bytes:
        """Chunks repeat what was cited before: each citation is told once."""
        found: list[Citation] = []
        if candidate.grounding_metadata is not None:
            self._searched.update(sources.searched(candidate.grounding_metadata))
            found += sources.grounded(candidate.grounding_metadata)
        if candidate.citation_metadata is not None:
            found += sources.quoted(candidate.citation_metadata)
        for one in found:
            key = (candidate.index, one.url, one.title, one.cited)
            if key not in self._cited:
                self._cited.add(key)
                events.append(CitationDelta(one, candidate.index, raw))
                raw = b""
        return raw

    def _finish(self, word: str, index: int, raw: bytes, events: list[Event]) -> bytes:
        if index in self._growing:
            raw = self._call_grown(index, raw, events)
        reason = STOPS.get(word, "other")
        return self._stop("tool_calls" if reason == "stop" and index in self._calls else reason, index, raw, events)

    def _stop(self, reason: StopReason, index: int, raw: bytes, events: list[Event]) -> bytes:
        """Old models give a reason in every chunk: the first one counts."""
        if index in self._stopped:
            return raw
        self._stopped.add(index)
        self._open.discard(index)
        events.append(Stop(reason, index, raw))
        return b""

    def _count(self, found: Counts, begun: bool, raw: bytes, events: list[Event]) -> None:
        usage = usage_of(found)
        if usage is None:
            return
        if found.candidates_token_count is None and begun and not self.is_complete:
            self._owed = UsageReport(usage, False, b"", tier_of(found), 0, len(self._searched))
            return
        self._owed = None
        events.append(UsageReport(usage, False, raw, tier_of(found), 0, len(self._searched)))


def _tokens(found: Logprobs) -> tuple[dict[str, object], ...]:
    """As OpenAI writes them."""
    tops = found.top_candidates or []
    return tuple(
        {
            **_token(one.token, one.log_probability),
            "top_logprobs": [_token(top.token, top.log_probability) for top in tops[at].candidates or ()]
            if at < len(tops)
            else [],
        }
        for at, one in enumerate(found.chosen_candidates or ())
    )


def _token(token: str, logprob: float | None) -> dict[str, object]:
    return {"token": token, "logprob": logprob or 0.0, "bytes": list(token.encode())}


class StreamDecoder:
    """A streamed reply: `feed` bytes cut anywhere, get events whose `raw` together are those bytes."""

    def __init__(self, splitter: Events | Array) -> None:
        self._splitter = splitter
        self._answer = Answer()

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises `BrokenReply` where it cannot be a stream."""
        pieces = self._splitter.feed(data)
        if len(pieces) == 1:
            return self._take(pieces[0])
        return [event for piece in pieces for event in self._take(piece)]

    def _take(self, piece: Piece) -> list[Event]:
        body, raw = piece
        if body is None:
            return [Passed(raw)]
        try:
            reply = read_reply(body)
        except ValueError:
            return [Passed(raw)]  # not ours to judge
        return self._answer.take(reply, raw)

    def close(self) -> list[Event]:
        """The body ended cleanly. Raises `BrokenReply` if the answer had not."""
        events: list[Event] = []
        piece = self._splitter.close()
        if piece is not None:
            check_last(piece)
            events += self._take(piece)
        if not self._answer.is_complete:
            raise BrokenReply("The provider's stream ended before its answer did.", code="upstream_truncated")
        return events + self._answer.rest()


def check_last(piece: Piece) -> None:
    """What is left at the end of a stream must be whole. Raises `BrokenReply`."""
    body, raw = piece
    try:
        if body is not None:
            read_reply(body)
        elif raw.strip(b" \t\r\n,[]") and not raw.startswith(b":"):
            raise ValueError("neither an event nor the end of an array")
    except ValueError:
        raise BrokenReply("The provider's stream ended inside an event.", code="upstream_truncated") from None


class UnaryDecoder:
    """A reply in one piece: all of its events appear at `close`, the first of them carrying the whole body."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece; no event is complete before the body is."""
        self._pieces.append(data)
        return []

    def close(self) -> list[Event]:
        """All events. Raises `BrokenReply` where the body is not the JSON object that it should be."""
        body = b"".join(self._pieces)
        try:
            reply = read_reply(body)
        except ValueError:
            raise BrokenReply("The provider's reply is not valid JSON.", code="upstream_invalid_json") from None
        answer = Answer()
        return answer.take(reply, body) + answer.rest()
