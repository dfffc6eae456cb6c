"""Embeddings: OpenAI's `/v1/embeddings` in terms of Gemini's `embedContent` and `batchEmbedContents`, and back.

Sources: https://platform.openai.com/docs/api-reference/embeddings and https://ai.google.dev/api/embeddings. A request
is read into an `Asked` and written in the provider's API; its reply is read into `Vectors` and written in the client's.
The order of vectors is that of the inputs. Gemini gives no count of tokens for some models: then `usage` is None.
"""

from __future__ import annotations

import base64
import binascii
import sys
from array import array
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import orjson

from gateway.dialects.base import Drops
from gateway.errors import BrokenReply, InvalidRequest
from gateway.model.conversation import Written
from gateway.model.usage import Usage

Coding = Literal["float", "base64"]
_T = TypeVar("_T")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one vector of each of `inputs`: a text, or tokens as OpenAI counts them.

    `dimensions` is the length that vectors are to have; `coding` is how an OpenAI client wants them; `batch`: a Gemini
    client asked for several. `rest` are members that only its own API has, by their paths.
    """

    source: Literal["openai", "gemini"]
    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    coding: Coding = "float"
    batch: bool = False
    rest: Mapping[str, Any] = {}


class Vectors(msgspec.Struct, frozen=True):
    """A reply: one vector for each input, and the provider's count where it gives one."""

    vectors: tuple[list[float], ...]
    usage: Usage | None = None
    model: str = ""


# OpenAI


def read_openai(parsed: Mapping[str, Any]) -> Asked:
    """A request as OpenAI's clients write it. Raises `InvalidRequest`."""
    given = parsed.get("input")
    listed: list[Any] = given if isinstance(given, list) else [given]
    if listed and all(type(one) is int for one in listed):
        listed = [listed]
    inputs = tuple(_openai_input(one, at) for at, one in enumerate(listed))
    if not inputs:
        raise InvalidRequest("`input` is empty; send at least one text.", code="invalid_value", param="input")
    coding: Any = parsed.get("encoding_format") or "float"
    if coding not in ("float", "base64"):
        raise InvalidRequest(
            "`encoding_format` must be `float` or `base64`.", code="invalid_value", param="encoding_format"
        )
    known = ("model", "input", "dimensions", "encoding_format")
    rest = {name: value for name, value in parsed.items() if name not in known and value is not None}
    return Asked(
        source="openai",
        inputs=inputs,
        dimensions=_dimensions(parsed, "dimensions"),
        coding=coding,
        batch=isinstance(given, list),
        rest=rest,
    )


def _openai_input(given: Any, at: int) -> str | tuple[int, ...]:
    if isinstance(given, str):
        return given
    if isinstance(given, list) and given and all(type(token) is int for token in given):
        return tuple(given)
    raise InvalidRequest(
        "`input` must be a text, tokens, or an array of either.", code="invalid_type", param=f"input[{at}]"
    )


def _dimensions(parsed: Mapping[str, Any], name: str, path: str = "") -> int | None:
    found = parsed.get(name)
    if found is not None and (type(found) is not int or found < 1):
        param = f"{path}{name}"
        raise InvalidRequest(f"`{param}` must be a whole number above 0.", code="invalid_value", param=param)
    return found


def write_openai(asked: Asked, model: str, *, lenient: bool) -> Written:
    """The request for a provider that speaks OpenAI. What it cannot say raises `Unsupported`, or is dropped."""
    drops = Drops({}, "chat", lenient=lenient)
    body: dict[str, Any] = {"model": model, "input": list(asked.inputs) if asked.batch else asked.inputs[0]}
    if asked.dimensions is not None:
        body["dimensions"] = asked.dimensions
    for name, value in asked.rest.items():
        if asked.source == "openai":
            body[name] = value
        else:
            drops.add(name)
    return Written(orjson.dumps(body), tuple(drops.names))


class _Embedding(msgspec.Struct):
    embedding: list[float] | str
    index: int = 0


_Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class _OpenAIUsage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    total_tokens: _Count | None = None


class _OpenAIReply(msgspec.Struct):
    data: list[_Embedding]
    model: str = ""
    usage: _OpenAIUsage | None = None


def decode_openai(body: bytes) -> Vectors:
    """A reply of a provider that speaks OpenAI. Raises `BrokenReply`."""
    reply = _decoded(body, _OpenAIReply)
    listed = sorted(reply.data, key=lambda one: one.index)
    usage = reply.usage or _OpenAIUsage()
    tokens = usage.prompt_tokens if usage.prompt_tokens is not None else usage.total_tokens
    return Vectors(
        tuple(_floats(one.embedding) for one in listed), Usage(tokens) if tokens is not None else None, reply.model
    )


def encode_openai(asked: Asked, found: Vectors, model: str) -> bytes:
    """The reply for an OpenAI client that calls the model `model`. Where nothing was counted, `usage` says zero."""
    tokens = found.usage.input_tokens if found.usage is not None else 0
    data = [
        {"object": "embedding", "index": at, "embedding": _base64(one) if asked.coding == "base64" else one}
        for at, one in enumerate(found.vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return orjson.dumps({"object": "list", "data": data, "model": model, "usage": usage})


def _base64(vector: list[float]) -> str:
    """Single precision, little-endian, as OpenAI packs them."""
    packed = array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()


def _floats(vector: list[float] | str) -> list[float]:
    if isinstance(vector, list):
        return vector
    packed = array("f")
    try:
        packed.frombytes(base64.b64decode(vector, validate=True))
    except (binascii.Error, ValueError):
        raise BrokenReply("The provider's reply has a vector that is no base64.") from None
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()


# Gemini


def read_gemini(parsed: Mapping[str, Any]) -> Asked:
    """A request of `batchEmbedContents` if it has `requests`, else of `embedContent`. Raises `InvalidRequest`."""
    batch = "requests" in parsed
    requests = parsed["requests"] if batch else [parsed]
    if not isinstance(requests, list) or not requests:
        raise InvalidRequest("`requests` must be an array of requests.", code="invalid_type", param="requests")
    inputs: list[str] = []
    rest: dict[str, Any] = {}
    lengths: list[int | None] = []
    for at, one in enumerate(requests):
        path = f"requests[{at}]." if batch else ""
        if not isinstance(one, dict):
            raise InvalidRequest(f"`requests[{at}]` must be an object.", code="invalid_type", param=f"requests[{at}]")
        # what is optional may stand in `embedContentConfig` too
        flat = {**_object(one, "embedContentConfig"), **one}
        name = "output_dimensionality" if "output_dimensionality" in flat else "outputDimensionality"
        lengths.append(_dimensions(flat, name, path))
        inputs.append("\n".join(_gemini_texts(flat.get("content"), f"{path}content")))
        rest |= {f"{path}{key}": value for key, value in flat.items() if key not in _GEMINI_KNOWN and value is not None}
    if any(length != lengths[0] for length in lengths):
        raise InvalidRequest(
            "`outputDimensionality` must be the same in all of `requests` for this model's provider.",
            code="unsupported_field",
            param="requests",
        )
    return Asked(source="gemini", inputs=tuple(inputs), dimensions=lengths[0], batch=batch, rest=rest)


_GEMINI_KNOWN = frozenset({"model", "content", "outputDimensionality", "output_dimensionality", "embedContentConfig"})


def _object(found: dict[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _gemini_texts(content: Any, path: str) -> Iterator[str]:
    parts = content.get("parts") if isinstance(content, dict) else None
    if isinstance(parts, dict):
        parts = [parts]  # protobuf's JSON takes one for many
    if not isinstance(parts, list) or not parts:
        raise InvalidRequest(f"`{path}.parts` is missing.", code="missing_field", param=f"{path}.parts")
    for at, part in enumerate(parts):
        text = part.get("text") if isinstance(part, dict) else None
        if not isinstance(text, str):
            raise InvalidRequest(
                f"`{path}.parts[{at}]` must be a text for this model's provider.",
                code="unsupported_field",
                param=f"{path}.parts[{at}]",
            )
        yield text


def gemini_method(asked: Asked) -> Literal["embedContent", "batchEmbedContents"]:
    """The method that takes what `write_gemini` writes."""
    return "embedContent" if len(asked.inputs) == 1 and not asked.batch else "batchEmbedContents"


def write_gemini(asked: Asked, model: str, *, lenient: bool) -> Written:
    """The request for a provider that speaks Gemini. Tokens instead of a text raise `InvalidRequest`: they are no text
    without OpenAI's own tables."""
    drops = Drops({}, "gemini", lenient=lenient)
    for name in asked.rest if asked.source == "openai" else ():
        drops.add(name)
    requests = []
    for at, text in enumerate(asked.inputs):
        if not isinstance(text, str):
            raise InvalidRequest(
                "`input` must be text for this model's provider, not tokens.",
                code="unsupported_field",
                param=f"input[{at}]",
            )
        one: dict[str, Any] = {
            "model": f"models/{model.removeprefix('models/')}",
            "content": {"parts": [{"text": text}]},
        }
        if asked.dimensions is not None:
            one["outputDimensionality"] = asked.dimensions
        requests.append(one)
    batch = gemini_method(asked) == "batchEmbedContents"
    return Written(orjson.dumps({"requests": requests} if batch else requests[0]), tuple(drops.names))


class _Values(msgspec.Struct):
    values: list[float] = []


class _Modality(msgspec.Struct, rename="camel"):
    modality: str = ""
    token_count: _Count = 0


class _UsageMetadata(msgspec.Struct, rename="camel"):
    prompt_token_count: _Count | None = None
    total_token_count: _Count | None = None
    prompt_token_details: list[_Modality] | None = None
    prompt_tokens_details: list[_Modality] | None = None


class _GeminiReply(msgspec.Struct, rename="camel"):
    embedding: _Values | None = None
    embeddings: list[_Values] | None = None
    usage_metadata: _UsageMetadata | None = None


def decode_gemini(body: bytes) -> Vectors:
    """A reply of either method. Raises `BrokenReply`."""
    reply = _decoded(body, _GeminiReply)
    listed = reply.embeddings if reply.embeddings is not None else [reply.embedding] if reply.embedding else None
    if listed is None:
        raise BrokenReply("The provider's reply has no embeddings.")
    return Vectors(tuple(one.values for one in listed), _gemini_usage(reply.usage_metadata))


def _gemini_usage(found: _UsageMetadata | None) -> Usage | None:
    if found is None:
        return None
    tokens = found.prompt_token_count if found.prompt_token_count is not None else found.total_token_count
    if tokens is None:
        return None
    kinds: dict[str, int] = {}
    for one in found.prompt_token_details or found.prompt_tokens_details or ():
        kinds[one.modality] = kinds.get(one.modality, 0) + one.token_count
    return Usage(tokens, input_audio_tokens=kinds.get("AUDIO", 0), input_image_tokens=kinds.get("IMAGE", 0))


def encode_gemini(asked: Asked, found: Vectors) -> bytes:
    """The reply for a Gemini client, of the method that it called."""
    listed = [{"values": one} for one in found.vectors]
    body: dict[str, Any] = {"embeddings": listed} if asked.batch else {"embedding": listed[0] if listed else {}}
    if found.usage is not None:
        body["usageMetadata"] = {"promptTokenCount": found.usage.input_tokens}
    return orjson.dumps(body)


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        raise BrokenReply("The provider's reply holds no embeddings as its API has them.") from None
    except (msgspec.DecodeError, RecursionError):
        raise BrokenReply("The provider's reply is not valid JSON.", code="upstream_invalid_json") from None
