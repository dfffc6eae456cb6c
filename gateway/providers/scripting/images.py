"""`POST /v1/images/*`: a small PNG of one colour, which follows from the prompt.

Source: components `ImagesResponse`, `ImageGenCompletedEvent` and `ImageGenPartialImageEvent`.
"""

from __future__ import annotations

import base64
import struct
import zlib
from hashlib import blake2b
from typing import Any

import orjson

from gateway.providers.scripting import tokens
from gateway.providers.scripting.chat import EVENT_STREAM
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import wrong
from gateway.providers.scripting.scene import Scene, token_usage

SIDE = 8
"""Pixels each way. The size that was asked for is told, not drawn."""
IMAGE_TOKENS = 100
"""Output tokens of one image."""
MAX_IMAGES = 10
_SIZES = ("1024x1024", "1024x1536", "1536x1024")


def answer(scene: Scene) -> Answer:
    """The whole answer. Raises `Refused` if the request is not one."""
    question = scene.question
    images = _count(question.body.get("n"))
    prompt = question.text
    usage = scene.usage(tokens.count(prompt), IMAGE_TOKENS * images)
    told = scene.told(
        {**token_usage(usage), "input_tokens_details": {"text_tokens": usage.input_tokens, "image_tokens": 0}}
    )
    size = question.body.get("size")
    look = {
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "size": size if size in _SIZES else _SIZES[0],
    }
    encoded = [base64.b64encode(png(f"{prompt}{index or ''}")).decode() for index in range(images)]
    if question.stream:
        return _stream(scene, encoded[0], look, told, Answer((), model=question.model, usage=usage))
    body = {"created": scene.now, "data": [{"b64_json": one} for one in encoded], **look, **told, **scene.reply.extra}
    return Answer((orjson.dumps(body),), model=question.model, usage=usage)


def png(seed: str) -> bytes:
    """A PNG of one colour."""
    colour = blake2b(seed.encode("utf-8", "replace"), digest_size=3).digest()
    rows = (b"\0" + colour * SIDE) * SIDE
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _count(asked: Any) -> int:
    try:
        count = 1 if asked is None else int(asked)  # a form says it as text
    except (TypeError, ValueError):
        count = 0
    if not 1 <= count <= MAX_IMAGES:
        raise wrong("n", f"Invalid 'n': expected an integer between 1 and {MAX_IMAGES}.")
    return count


def _stream(scene: Scene, image: str, look: dict[str, Any], told: dict[str, Any], base: Answer) -> Answer:
    asked = scene.question.body.get("partial_images", 0)
    kind = "image_edit" if "image" in scene.question.body else "image_generation"
    shared = {"b64_json": image, "created_at": scene.now, **look}
    events: list[tuple[str, dict[str, Any]]] = [
        (f"{kind}.partial_image", {**shared, "partial_image_index": index})
        for index in range(min(int(asked), 3) if isinstance(asked, int | str) and str(asked).isdigit() else 0)
    ]
    events.append((f"{kind}.completed", {**shared, **told}))
    usage = base.usage
    flags = [name.endswith("completed") for name, _ in events]
    return Answer(
        tuple(b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **e})) for name, e in events),
        content_type=EVENT_STREAM,
        model=base.model,
        usage=usage,
        tokens=tokens.spread(usage.output_tokens if usage else 0, flags),
    )
