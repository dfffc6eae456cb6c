"""Everything but chats: embeddings, files, batches, audio, images, moderations, rerank."""

from __future__ import annotations

import base64
import json
import struct
import wave
import zlib
from io import BytesIO
from typing import Any

import orjson
import pytest

from gateway.providers.scripting import Ask, Play, Player, builtin, loads, shelf
from gateway.providers.scripting.embeddings import vector

FORM = {"content-type": "multipart/form-data; boundary=XX"}


def body_of(play: Play) -> bytes:
    return b"".join(step.data for step in play.steps)


def json_of(play: Play) -> Any:
    return orjson.loads(body_of(play))


def post(player: Player, path: str, **body: Any) -> Play:
    return player.play(Ask("POST", path, orjson.dumps({"model": "demo", **body})))


def get(player: Player, path: str, method: str = "GET") -> Play:
    return player.play(Ask(method, path))


def form(**fields: str | tuple[str, bytes]) -> bytes:
    parts = []
    for name, value in fields.items():
        filename, data = ("", value.encode()) if isinstance(value, str) else value
        more = f'; filename="{filename}"\r\ncontent-type: text/plain' if filename else ""
        parts.append(f'--XX\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n")
    return b"".join(parts) + b"--XX--\r\n"


def upload(player: Player, data: bytes, purpose: str = "batch") -> str:
    play = player.play(Ask("POST", "/v1/files", form(purpose=purpose, file=("in.jsonl", data)), FORM))
    assert play.status == 200
    id: str = json_of(play)["id"]
    return id


@pytest.fixture
def demo() -> Player:
    return Player(builtin(), clock=lambda: 1_000.0)


def test_models_are_listed_and_patterns_are_not() -> None:
    player = Player(loads("models: [a, 'b-*', org/c]"))
    assert [model["id"] for model in json_of(get(player, "/v1/models"))["data"]] == ["a", "org/c"]
    assert json_of(get(player, "/v1/models/org%2Fc"))["id"] == "org/c"
    assert json_of(get(player, "/v1/models/b-7"))["id"] == "b-7"
    assert get(player, "/v1/models/x").status == 404


def test_paths_work_with_and_without_v1(demo: Player) -> None:
    assert get(demo, "/models").status == get(demo, "/v1/models").status == 200


class TestEmbeddings:
    def test_a_vector_has_length_one_and_follows_from_the_text(self, demo: Player) -> None:
        first, again, other = (
            json_of(post(demo, "/v1/embeddings", input=text))["data"][0]["embedding"] for text in ("a b", "a b", "c")
        )
        assert first == again != other
        assert sum(value * value for value in first) == pytest.approx(1, abs=1e-6)

    def test_both_encodings_say_the_same(self, demo: Player) -> None:
        floats = json_of(post(demo, "/v1/embeddings", input=["a", "b c"], dimensions=5))["data"]
        coded = json_of(post(demo, "/v1/embeddings", input=["a", "b c"], dimensions=5, encoding_format="base64"))[
            "data"
        ]
        for left, right in zip(floats, coded, strict=True):
            assert left["embedding"] == list(struct.unpack("<5f", base64.b64decode(right["embedding"])))

    def test_texts_that_share_words_are_closer(self) -> None:
        def likeness(left: str, right: str) -> float:
            pairs = zip(vector(left.split(), 256), vector(right.split(), 256), strict=True)
            return sum(a * b for a, b in pairs)

        assert likeness("how long do refunds take", "refunds take five days") > likeness(
            "how long do refunds take", "the sky"
        )

    def test_dimensions_are_the_requests_or_the_scripts(self, demo: Player) -> None:
        small = Player(loads("models: [demo]\ndimensions: 3"))
        assert len(json_of(post(small, "/v1/embeddings", input="a"))["data"][0]["embedding"]) == 3
        assert len(json_of(post(demo, "/v1/embeddings", input="a", dimensions=1))["data"][0]["embedding"]) == 1

    def test_tokens_are_inputs_too(self, demo: Player) -> None:
        body = json_of(post(demo, "/v1/embeddings", input=[[1, 2, 3], [4]]))
        assert (len(body["data"]), body["usage"]["prompt_tokens"]) == (2, 4)
        assert json_of(post(demo, "/v1/embeddings", input=[1, 2]))["usage"]["total_tokens"] == 2

    def test_the_script_may_give_the_vector(self) -> None:
        player = Player(
            loads("models: [demo]\nreplies: [{when: {contains: n}, embedding: [0.5, 1]}, {embedding: auto}]")
        )
        assert json_of(post(player, "/v1/embeddings", input="north"))["data"][0]["embedding"] == [0.5, 1.0]
        assert len(json_of(post(player, "/v1/embeddings", input="x"))["data"][0]["embedding"]) == 256

    @pytest.mark.parametrize(
        "body",
        [{}, {"input": []}, {"input": ""}, {"input": [""]}, {"input": "a", "dimensions": 0}, {"input": {"a": 1}},
         {"input": "a", "dimensions": 99999}, {"input": "a", "encoding_format": "hex"}, {"input": ["a"] * 2049}],
    )  # fmt: skip
    def test_a_bad_request_is_refused(self, demo: Player, body: dict[str, Any]) -> None:
        assert post(demo, "/v1/embeddings", **body).status == 400


class TestFiles:
    def test_a_file_is_kept_listed_read_and_deleted(self, demo: Player) -> None:
        data = bytes(range(256)) + b" --XX is not the end\r\n"
        id = upload(demo, data, "user_data")
        assert json_of(get(demo, f"/v1/files/{id}")) == json_of(get(demo, "/v1/files"))["data"][0]
        assert json_of(get(demo, f"/v1/files/{id}"))["bytes"] == len(data)
        assert body_of(get(demo, f"/v1/files/{id}/content")) == data
        assert json_of(get(demo, f"/v1/files/{id}", "DELETE")) == {"id": id, "object": "file", "deleted": True}
        assert get(demo, f"/v1/files/{id}").status == get(demo, f"/v1/files/{id}/content").status == 404

    def test_a_listing_has_pages(self, demo: Player) -> None:
        ids = [upload(demo, b"x", purpose) for purpose in ("batch", "vision", "batch")]
        first = json_of(get(demo, "/v1/files?limit=2"))
        assert ([one["id"] for one in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
        second = json_of(get(demo, f"/v1/files?limit=2&after={first['last_id']}"))
        assert ([one["id"] for one in second["data"]], second["has_more"]) == ([ids[0]], False)
        assert [one["id"] for one in json_of(get(demo, "/v1/files?purpose=vision"))["data"]] == [ids[1]]
        assert json_of(get(demo, "/v1/files?order=asc"))["first_id"] == ids[0]

    def test_the_oldest_files_make_room(self, demo: Player, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shelf, "MAX_BYTES", 10)
        ids = [upload(demo, b"x" * 4) for _ in range(3)]
        assert [get(demo, f"/v1/files/{id}").status for id in ids] == [404, 200, 200]

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ({}, b""),
            ({"content-type": "application/json"}, b"{}"),
            (FORM, b"--XX\r\n"),
            (FORM, form(purpose="batch")),
            (FORM, form(purpose="nonsense", file=("a", b"b"))),
            (FORM, form(file=("a", b"b"))),
        ],
    )
    def test_a_bad_upload_is_refused(self, demo: Player, headers: dict[str, str], body: bytes) -> None:
        assert demo.play(Ask("POST", "/v1/files", body, headers)).status == 400


class TestBatches:
    def lines(self) -> bytes:
        good = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
        url = "/v1/chat/completions"
        rows: list[dict[str, Any]] = [
            {"custom_id": "1", "method": "POST", "url": url, "body": good},
            {"custom_id": "2", "method": "POST", "url": url, "body": {**good, "model": "nope"}},
            {"custom_id": "3", "method": "POST", "url": "/v1/embeddings", "body": good},
        ]
        return b"\n".join(map(orjson.dumps, rows)) + b"\nnonsense\n\n"

    def create(self, demo: Player) -> str:
        play = post(
            demo,
            "/v1/batches",
            input_file_id=upload(demo, self.lines()),
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
        assert json_of(play)["status"] == "validating"
        id: str = json_of(play)["id"]
        return id

    def test_a_batch_moves_on_as_it_is_looked_at_and_answers_each_line(self, demo: Player) -> None:
        id = self.create(demo)
        assert json_of(get(demo, f"/v1/batches/{id}"))["status"] == "in_progress"
        batch = json_of(get(demo, f"/v1/batches/{id}"))
        assert batch["status"] == "completed"
        assert batch["request_counts"] == {"total": 4, "completed": 1, "failed": 3}
        good = orjson.loads(body_of(get(demo, f"/v1/files/{batch['output_file_id']}/content")))
        assert good["custom_id"] == "1"
        assert good["response"]["body"]["choices"][0]["message"]["content"].startswith("Hello")
        bad = body_of(get(demo, f"/v1/files/{batch['error_file_id']}/content")).splitlines()
        assert [json.loads(line)["response"]["status_code"] for line in bad] == [404, 400, 400]
        assert json_of(get(demo, "/v1/batches"))["data"] == [batch]

    def test_a_batch_can_be_cancelled_until_it_ends(self, demo: Player) -> None:
        id = self.create(demo)
        assert json_of(get(demo, f"/v1/batches/{id}/cancel", "POST"))["status"] == "cancelling"
        assert json_of(get(demo, f"/v1/batches/{id}"))["status"] == "cancelled"
        assert get(demo, f"/v1/batches/{id}/cancel", "POST").status == 409

    @pytest.mark.parametrize(
        "change", [{"endpoint": "/v1/nothing"}, {"completion_window": "1h"}, {"input_file_id": "file-none"}]
    )
    def test_a_bad_batch_is_refused(self, demo: Player, change: dict[str, str]) -> None:
        body = {"input_file_id": upload(demo, b""), "endpoint": "/v1/embeddings", "completion_window": "24h", **change}
        assert post(demo, "/v1/batches", **body).status in (400, 404)

    def test_an_unknown_batch_or_verb_is_a_404(self, demo: Player) -> None:
        assert get(demo, "/v1/batches/none").status == get(demo, "/v1/batches/x/y").status == 404
        assert get(demo, "/v1/files/x/y/z").status == 404


class TestAudio:
    def test_speech_is_a_wav_file(self, demo: Player) -> None:
        play = post(demo, "/v1/audio/speech", input="one two three", voice="alloy")
        assert dict(play.headers)[b"content-type"] == b"audio/wav"
        with wave.open(BytesIO(body_of(play))) as sound:
            assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (8000, 1, 480)

    def test_speech_may_be_raw_or_events(self, demo: Player) -> None:
        raw = body_of(post(demo, "/v1/audio/speech", input="a", voice="x", response_format="pcm"))
        assert len(raw) == 320
        events = body_of(post(demo, "/v1/audio/speech", input="a", voice="x", stream_format="sse")).split(b"\n\n")
        assert orjson.loads(events[-2][6:])["type"] == "speech.audio.done"
        assert post(demo, "/v1/audio/speech", voice="x").status == 400

    @pytest.mark.parametrize(
        ("format", "begins"),
        [
            ("json", b'{"text":"This'),
            ("text", b"This"),
            ("verbose_json", b'{"task"'),
            ("srt", b"1\n00:"),
            ("vtt", b"WEBVTT"),
        ],
    )
    def test_a_transcript_comes_in_the_format_that_was_asked_for(
        self, demo: Player, format: str, begins: bytes
    ) -> None:
        body = form(model="demo", file=("a.wav", b"x" * 16_000), response_format=format)
        assert body_of(demo.play(Ask("POST", "/v1/audio/transcriptions", body, FORM))).startswith(begins)

    def test_a_transcript_may_be_streamed(self, demo: Player) -> None:
        body = form(model="demo", file=("a.wav", b"x"), stream="true")
        events = body_of(demo.play(Ask("POST", "/v1/audio/transcriptions", body, FORM))).split(b"\n\n")[:-1]
        told = [orjson.loads(event[6:]) for event in events]
        assert "".join(one["delta"] for one in told[:-1]) == told[-1]["text"]

    def test_a_recording_is_needed(self, demo: Player) -> None:
        assert demo.play(Ask("POST", "/v1/audio/translations", form(model="demo"), FORM)).status == 400


class TestImages:
    def test_an_image_is_a_png(self, demo: Player) -> None:
        data = json_of(post(demo, "/v1/images/generations", prompt="a cat", n=2))["data"]
        images = [base64.b64decode(one["b64_json"]) for one in data]
        assert images[0] != images[1]
        for image in images:
            assert image.startswith(b"\x89PNG\r\n\x1a\n")
            pixels = zlib.decompressobj().decompress(image[image.index(b"IDAT") + 4 :])
            assert len(pixels) == 8 * (1 + 8 * 3)
        assert post(demo, "/v1/images/generations", prompt="a", n=99).status == 400

    def test_an_edit_takes_a_form(self, demo: Player) -> None:
        body = form(model="demo", prompt="a hat", image=("a.png", b"x"), n="1")
        assert len(json_of(demo.play(Ask("POST", "/v1/images/edits", body, FORM)))["data"]) == 1

    def test_an_image_may_be_streamed(self, demo: Player) -> None:
        play = post(demo, "/v1/images/generations", prompt="a", stream=True, partial_images=2)
        assert body_of(play).count(b"partial_image_index") == 2


def test_moderation_flags_a_category_that_is_named(demo: Player) -> None:
    results = json_of(post(demo, "/v1/moderations", input=["a nice day", "graphic violence"]))["results"]
    assert [result["flagged"] for result in results] == [False, True]
    assert results[1]["categories"]["violence"] and not results[1]["categories"]["hate"]
    assert demo.play(Ask("POST", "/v1/moderations", b'{"input":"x"}')).status == 200
    assert post(demo, "/v1/moderations").status == 400


def test_rerank_orders_by_shared_words(demo: Player) -> None:
    documents = ["the sky is blue", {"text": "refunds take five days"}, "refunds"]
    body = json_of(post(demo, "/v1/rerank", query="refunds take", documents=documents, top_n=2, return_documents=True))
    assert [(one["index"], one["relevance_score"]) for one in body["results"]] == [(1, 1.0), (2, 0.5)]
    assert body["results"][0]["document"] == {"text": "refunds take five days"}
    assert post(demo, "/v1/rerank", query="x").status == post(demo, "/v1/rerank", documents=["x"]).status == 400


def test_any_endpoint_can_be_made_to_fail() -> None:
    player = Player(loads("models: [demo]\nreplies: [{when: {endpoint: files}, error: {status: 503}}]"))
    assert [get(player, "/v1/files").status, get(player, "/v1/models").status] == [503, 200]


def test_a_document_may_be_the_whole_answer_of_an_endpoint() -> None:
    player = Player(loads("models: [demo]\nreplies: [{when: {endpoint: rerank}, json: {a: 1}}]"))
    assert json_of(post(player, "/v1/rerank", query="x")) == {"a": 1}
