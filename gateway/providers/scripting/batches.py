"""`/v1/batches`, in memory: each line of the input file is answered by the script.

A batch moves on each time somebody looks at it (validating, in_progress, completed), so that a client which polls sees
every state and no test has to wait. Source: https://platform.openai.com/docs/api-reference/batch, components `Batch`,
`ListBatchesResponse`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gateway.model.usage import Usage
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import Refused, no_object, wrong
from gateway.providers.scripting.scene import token_usage
from gateway.providers.scripting.shelf import Shelf, page

ENDPOINTS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/moderations"})
MAX_BATCHES = 1_000
WINDOW_S = 86_400
_SUMMED = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_OPEN = frozenset({"validating", "in_progress"})
AnswerLine = Callable[[str, bytes], Answer]
"""Path and body to answer: what the script says to one line."""


class Batches:
    """The batches of one provider."""

    def __init__(self, shelf: Shelf, answer: AnswerLine) -> None:
        self._shelf = shelf
        self._answer = answer
        self._batches: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"<Batches {len(self._batches)}>"

    def create(self, id: str, body: Mapping[str, Any], now: int) -> Answer:
        """`POST /batches`. Raises `Refused`."""
        endpoint, window = body.get("endpoint"), body.get("completion_window")
        if endpoint not in ENDPOINTS:
            raise wrong("endpoint", f"Invalid value for 'endpoint': expected one of {', '.join(sorted(ENDPOINTS))}.")
        if window != "24h":
            raise wrong("completion_window", "Invalid value for 'completion_window': expected '24h'.")
        file = self._shelf.get(str(body.get("input_file_id")))
        batch = {
            "id": id,
            "object": "batch",
            "endpoint": endpoint,
            "input_file_id": file.about["id"],
            "completion_window": window,
            "status": "validating",
            "created_at": now,
            "expires_at": now + WINDOW_S,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": body.get("metadata"),
        }
        self._batches[id] = batch
        while len(self._batches) > MAX_BATCHES:
            del self._batches[next(iter(self._batches))]
        return _json(batch)

    def retrieve(self, id: str, now: int) -> Answer:
        """`GET /batches/{id}`: moves the batch on by one state."""
        batch = self._get(id)
        if batch["status"] == "validating":
            batch.update(status="in_progress", in_progress_at=now)
        elif batch["status"] == "in_progress":
            self._complete(batch, now)
        elif batch["status"] == "cancelling":
            batch.update(status="cancelled", cancelled_at=now)
        return _json(batch)

    def cancel(self, id: str, now: int) -> Answer:
        """`POST /batches/{id}/cancel`. Raises `Refused` if it has ended."""
        batch = self._get(id)
        if batch["status"] not in _OPEN:
            raise Refused(409, f"Cannot cancel a batch with status '{batch['status']}'.", code="invalid_status")
        batch.update(status="cancelling", cancelling_at=now)
        return _json(batch)

    def listing(self, query: Mapping[str, str]) -> Answer:
        """`GET /batches`, newest first."""
        return _json(page(list(self._batches.values()), query))

    def _get(self, id: str) -> dict[str, Any]:
        batch = self._batches.get(id)
        if batch is None:
            raise no_object("Batch object", id)
        return batch

    def _complete(self, batch: dict[str, Any], now: int) -> None:
        good: list[bytes] = []
        bad: list[bytes] = []
        total, models = Usage(), set()
        for number, line in enumerate(self._shelf.get(batch["input_file_id"]).data.splitlines()):
            if line.strip():
                status, model, usage, record = self._line(f"{batch['id']}_{number}", line, batch["endpoint"])
                (good if status == 200 else bad).append(record)
                models |= {model} - {""}
                total = Usage(*(getattr(total, name) + getattr(usage, name) for name in _SUMMED))
        for key, records in (("output_file_id", good), ("error_file_id", bad)):
            if records:
                id = f"file-{batch['id']}-{key.partition('_')[0]}"
                self._shelf.put(id, f"{id}.jsonl", "batch_output", b"".join(records), now)
                batch[key] = id
        if len(models) == 1:
            batch["model"] = models.pop()
        batch.update(
            status="completed",
            finalizing_at=now,
            completed_at=now,
            request_counts={"total": len(good) + len(bad), "completed": len(good), "failed": len(bad)},
            usage={
                **token_usage(total),
                "input_tokens_details": {"cached_tokens": total.cache_read_tokens},
                "output_tokens_details": {"reasoning_tokens": total.reasoning_tokens},
            },
        )

    def _line(self, id: str, line: bytes, endpoint: str) -> tuple[int, str, Usage, bytes]:
        custom_id, status, model, body, usage = None, 400, "", b"{}", Usage()
        try:
            asked = orjson.loads(line)
            custom_id = asked["custom_id"]
            if asked["url"] != endpoint:
                raise wrong("url", f"Invalid 'url': the batch is for {endpoint}.")
            answer = self._answer(endpoint, orjson.dumps({**asked["body"], "stream": False}))
            status, model, usage = answer.status, answer.model, answer.usage or usage
            body = b"".join(answer.parts)
            if answer.content_type != "application/json":
                body = orjson.dumps(body.decode("utf-8", "replace"))
        except Refused as refused:
            status, body = refused.status, refused.body
        except (orjson.JSONDecodeError, KeyError, TypeError):
            body = wrong("input_file_id", "A line of the batch is not a request.").body
        response = {"status_code": status, "request_id": id, "body": orjson.Fragment(body)}
        record = {"id": f"batch_req_{id}", "custom_id": custom_id, "response": response, "error": None}
        return status, model, usage, orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _json(batch: dict[str, Any]) -> Answer:
    return Answer((orjson.dumps(batch),), id=str(batch.get("id", "")))
