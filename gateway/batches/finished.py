"""A batch that has ended, out of the object that the provider shows.

`usage` and `model` are there for batches made since September 2025; other servers may have neither, and then the output
file has to tell. Source: https://platform.openai.com/docs/api-reference/batch/object
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from gateway.dialects.openai import UnaryDecoder
from gateway.errors import BrokenReply
from gateway.model.events import Start, UsageReport
from gateway.model.usage import Usage

ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
"""States that a batch does not leave. An expired or cancelled one costs what was answered before its end."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """`ended_at` is epoch seconds, 0 if not told. `model` and `output_file_id` are empty where there is none."""

    id: str
    status: str
    endpoint: str
    ended_at: int
    model: str
    usage: Usage | None
    output_file_id: str

    @property
    def is_free(self) -> bool:
        """Nothing was answered: it failed as a whole, or was cancelled in time."""
        return self.usage is None and not self.output_file_id


def read_batch(batch: Mapping[str, Any]) -> Finished | None:
    """What is to be booked, or None while the batch is under way, or where the object is no batch."""
    id, status = batch.get("id"), batch.get("status")
    if not isinstance(id, str) or not id or not isinstance(status, str) or status not in ENDED:
        return None
    ended_at = batch.get(f"{status}_at")
    model, usage = read_answer(orjson.dumps({"model": batch.get("model"), "usage": batch.get("usage")}))
    return Finished(
        id=id,
        status=status,
        endpoint=_text(batch.get("endpoint")),
        ended_at=ended_at if isinstance(ended_at, int) and ended_at > 0 else 0,
        model=model,
        usage=usage if usage is not None and (usage.input_tokens or usage.output_tokens) else None,
        output_file_id=_text(batch.get("output_file_id")),
    )


def read_answer(body: bytes) -> tuple[str, Usage | None]:
    """The model and the usage of one answer in OpenAI's words; empty and None where it tells of none."""
    decoder = UnaryDecoder()
    decoder.feed(body)
    model, usage = "", None
    try:
        for event in decoder.close():
            if isinstance(event, Start):
                model = event.model
            elif isinstance(event, UsageReport):
                usage = event.usage
    except BrokenReply:
        pass
    return model, usage


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
