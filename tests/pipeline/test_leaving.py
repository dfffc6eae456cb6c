"""Clients that leave: the provider is let go, and what was used is booked, once."""

from __future__ import annotations

import time

import pytest

from tests.pipeline.test_bytes import ROLE, TEXT
from tests.pipeline.world import JSON, MULTIPART, SSE, World, form


@pytest.mark.parametrize("pieces", [1, 2])
async def test_who_leaves_a_stream_pays_for_what_came(world: World, pieces: int) -> None:
    provider = world.canned(ROLE, TEXT, None, headers=SSE)
    began = time.perf_counter()
    answer = await world.chat(sent={"stream": True}, leave_after=pieces)
    assert time.perf_counter() - began < 1 and not answer.whole
    line = world.line
    assert (line["status"], line["code"], line["usage_source"]) == (499, "client_closed_request", "estimated")
    assert line["input_tokens"] > 0 and line["output_tokens"] <= 5
    assert provider.closed == 1
    assert world.runtime.metrics.client_disconnects.labels(endpoint="/v1/chat/completions").value == 1


async def test_who_leaves_while_the_provider_thinks_is_booked(world: World) -> None:
    provider = world.canned(None)
    answer = await world.chat(leave_after=0)
    assert answer.status == 0 and provider.closed == 1
    assert (world.line["status"], world.line["code"]) == (499, "client_closed_request")


async def test_who_leaves_before_the_body_was_whole_is_booked(world: World) -> None:
    spy = world.spy()
    answer = await world.post("/chat/completions", b"", pieces=[], leave_after=0)
    assert answer.status == 0 and not spy.requests
    assert (world.line["status"], world.line["code"]) == (499, "client_closed_request")


async def test_who_leaves_after_an_upload_stops_the_provider(world: World) -> None:
    provider = world.canned(None, headers=JSON)
    body = form(("model", "m"), ("file", b"x"))
    answer = await world.post("/audio/transcriptions", body, headers=MULTIPART, leave_after=0)
    assert answer.status == 0 and provider.closed == 1
    assert world.line["status"] == 499


async def test_who_leaves_a_download_stops_the_provider(world: World) -> None:
    made = await world.post("/files", form(("purpose", "batch"), ("file", b"{}")), headers=MULTIPART)
    world.log.lines.clear()
    provider = world.canned(b"first", None, headers=[(b"content-type", b"application/octet-stream")])
    answer = await world.call("GET", f"/v1/files/{made.json['id']}/content", leave_after=1)
    assert answer.pieces == [b"first"] and provider.closed == 1
    assert (world.line["status"], world.line["code"]) == (499, "client_closed_request")


@pytest.mark.parametrize("path", ["/audio/transcriptions", "/files"])
async def test_who_leaves_in_the_middle_of_an_upload_is_booked(world: World, path: str) -> None:
    body = form(("model", "m"), ("purpose", "batch"), ("file", b"x" * 1000))
    answer = await world.post(path, b"", headers=MULTIPART, pieces=[body[:200], body[200:300]], leave_after=0)
    assert answer.status == 0
    assert (world.line["status"], world.line["code"]) == (499, "client_closed_request")
