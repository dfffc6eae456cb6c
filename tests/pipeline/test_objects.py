"""Files and batches: each belongs to the team that made it, and nobody else can tell that it exists."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.errors import Unavailable
from tests.pipeline.world import CONFIG, MULTIPART, World, form

LINE = (
    b'{"custom_id":"1","method":"POST","url":"/v1/chat/completions",'
    b'"body":{"model":"m","messages":[{"role":"user","content":"x"}]}}\n'
)


async def upload(world: World, key: str = "") -> str:
    body = form(("purpose", "batch"), ("file", LINE))
    answer = await world.post("/files", body, headers=MULTIPART, key=key)
    assert answer.status == 200, answer.body
    return str(answer.json["id"])


async def begin(world: World, file: str, key: str = "") -> Any:
    asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return await world.post("/batches", asked, key=key)


async def test_a_file_is_made_read_and_deleted_by_its_own_team(world: World) -> None:
    file = await upload(world)
    mate = world.new_key(project="other")
    assert (await world.call("GET", f"/v1/files/{file}", key=mate)).json["id"] == file
    assert (await world.call("GET", f"/v1/files/{file}/content")).body == LINE
    assert (await world.call("DELETE", f"/v1/files/{file}")).json["deleted"] is True
    assert (await world.call("GET", f"/v1/files/{file}")).status == 404
    assert [line["status"] for line in world.log.lines] == [200, 200, 200, 200, 404]
    world.check_idle()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/files/{}"), ("GET", "/v1/files/{}/content"), ("DELETE", "/v1/files/{}"), ("GET", "/v1/batches/{}")],
)
async def test_a_foreign_object_is_one_that_is_not_there(world: World, method: str, path: str) -> None:
    file = await upload(world)
    made = (await begin(world, file)).json["id"] if "batches" in path else file
    foreign = world.new_key(team="blue")
    spy = world.spy()
    answers = [await world.call(method, path.format(id), key=foreign) for id in (made, made[:-1] + "z", "..%2f", "..")]
    assert {(answer.status, answer.code) for answer in answers} == {(404, "not_found")} and not spy.requests


async def test_lists_hold_a_team_s_own_only(world: World) -> None:
    mine, other = await upload(world), world.new_key(team="blue")
    theirs = await upload(world, other)
    assert [one["id"] for one in (await world.call("GET", "/v1/files")).json["data"]] == [mine]
    listed = (await world.call("GET", "/v1/files?limit=5", key=other)).json
    assert [one["id"] for one in listed["data"]] == [theirs] and listed["object"] == "list"
    assert mine not in str(listed)


async def test_a_batch_reads_a_file_of_its_own_team_only(world: World) -> None:
    file = await upload(world)
    foreign = world.new_key(team="blue")
    assert (await begin(world, file, foreign)).status == 404
    made = await begin(world, file)
    assert made.status == 200
    assert (await world.post(f"/batches/{made.json['id']}/cancel", b"", key=foreign)).status == 404


async def test_the_results_of_a_batch_belong_to_its_team(world: World) -> None:
    batch = (await begin(world, await upload(world))).json["id"]
    for _ in range(9):
        seen = (await world.call("GET", f"/v1/batches/{batch}")).json
    assert seen["status"] == "completed"
    path = f"/v1/files/{seen['output_file_id']}/content"
    assert b'"custom_id"' in (await world.call("GET", path)).body
    assert (await world.call("GET", path, key=world.new_key(team="blue"))).status == 404


async def test_a_key_for_some_models_makes_no_batch(world: World) -> None:
    key = world.new_key(models=frozenset({"m"}))
    answer = await begin(world, await upload(world, key), key)
    assert (answer.status, answer.code) == (403, "batch_not_allowed")


@pytest.mark.parametrize(
    ("body", "code"), [(b"{", "invalid_json"), (b"[]", "invalid_type"), (b'{"input_file_id":1}', "invalid_type")]
)
async def test_a_batch_without_a_file_is_refused(world: World, body: bytes, code: str) -> None:
    answer = await world.post("/batches", body)
    assert (answer.status, answer.code) == (400, code)


async def test_a_file_that_was_not_deleted_stays_known(world: World) -> None:
    file = await upload(world)
    world.canned(orjson.dumps({"id": file, "deleted": False}))
    await world.call("DELETE", f"/v1/files/{file}")
    assert (await world.call("GET", f"/v1/files/{file}")).status == 200


async def test_a_store_that_fails_after_the_provider_answered_is_an_error_and_is_booked(world: World) -> None:
    async def remember(*_: Any) -> bool:
        raise Unavailable("The database is locked.", code="store_unavailable", retry_after_s=1)

    world.runtime.objects.remember = remember  # type: ignore[method-assign,assignment]
    answer = await world.post("/files", form(("purpose", "batch"), ("file", b"x")), headers=MULTIPART)
    assert (answer.status, answer.code) == (503, "store_unavailable")
    assert (world.line["status"], world.line["code"]) == (503, "store_unavailable")


async def test_without_a_provider_for_them_there_are_no_files(tmp_path: Any) -> None:
    world = World(tmp_path, CONFIG.replace("passthrough: {default: p}", ""))
    try:
        answer = await world.call("GET", "/v1/files")
        assert (answer.status, answer.code) == (404, "not_served")
        assert world.line["code"] == "not_served"
    finally:
        await world.close()


async def test_a_file_over_the_limit_is_refused_while_it_arrives(tmp_path: Any) -> None:
    world = World(tmp_path, CONFIG + "server: {limits: {max_body_bytes: 500, max_upload_bytes: 1000}}\n")
    try:
        body = form(("purpose", "batch"), ("file", b"x" * 2000))
        pieces = [body[at : at + 300] for at in range(0, len(body), 300)]
        answer = await world.post("/files", b"", headers=MULTIPART, pieces=pieces)
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert world.line["status"] == 413
    finally:
        await world.close()
