"""Token counts for answers whose provider sends none. They are estimates, and records that use them say so.

Counts come from tiktoken with the two rank files that ship in `ranks/` (OpenAI, MIT licence; tiktoken checks their
SHA-256), so no network is needed. Models of other vendors have other tokenizers: for them `o200k_base` is a guess that
is commonly within 20 % on English text. What a chat message costs beside its text is OpenAI's published rule
(https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken): 3 tokens a message, 3 to prime the answer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import tiktoken

PER_MESSAGE = 3
PER_ANSWER = 3
PIECE = 16 * 1024
"""Characters encoded at once. A cut may cost a token; without it a long run of one letter would take minutes."""
IMAGE = 85
"""Tokens of an image of low detail (https://platform.openai.com/docs/guides/images-vision); detail is not decoded."""

_DEEP = 32
"""Levels of a request that are looked at; it may be nested far deeper than Python can recurse."""

_OLD = ("gpt-4-", "gpt-3.5", "gpt-35", "text-embedding-", "text-davinci")
RANKS = Path(__file__).parent / "ranks"


_loaded: set[str] = set()
_loading = threading.Lock()


def is_loaded(model: str) -> bool:
    """Whether counting for `model` costs no more than the counting: the first use of a vocabulary loads it."""
    return _name_for(model) in _loaded


@lru_cache(maxsize=2)
def _encoding(name: str) -> tiktoken.Encoding:
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(RANKS))  # tiktoken takes its place for files from here only
    with _loading:
        encoding = tiktoken.get_encoding(name)  # which remembers, so that of several threads one loads
    _loaded.add(name)
    return encoding


def encoding_for(model: str) -> tiktoken.Encoding:
    """The encoding of `model`, as far as it is known. The first use loads 1-4 MB of ranks (0.1-0.2 s)."""
    return _encoding(_name_for(model))


def _name_for(model: str) -> str:
    return "cl100k_base" if model == "gpt-4" or model.startswith(_OLD) else "o200k_base"


def count_text(model: str, text: str) -> int:
    """Tokens of `text`. Special tokens in it count as the plain text that they are here."""
    encode = encoding_for(model).encode_ordinary
    if len(text) <= PIECE:
        return len(encode(text))
    return sum(len(encode(text[at : at + PIECE])) for at in range(0, len(text), PIECE))


def count_request(model: str, parsed: dict[str, Any]) -> int:
    """Tokens of what a request gives the model to read, of any endpoint that takes JSON."""
    tokens = 0
    messages = parsed.get("messages")
    if isinstance(messages, list):
        tokens += PER_ANSWER + PER_MESSAGE * len(messages)
    texts = []
    for value in _inputs(parsed):
        if isinstance(value, str):
            texts.append(value)
        else:
            tokens += value
    return tokens + count_text(model, "\n".join(texts)) if texts else tokens


def _inputs(parsed: dict[str, Any]) -> Iterator[str | int]:
    """The texts of a request, and the counts of what is not text."""
    for name in ("messages", "input", "prompt", "query", "documents", "tools", "functions"):
        yield from _walk(parsed.get(name), 0)


def _walk(value: object, depth: int) -> Iterator[str | int]:
    if isinstance(value, str):
        yield value
    elif depth > _DEEP:
        return
    elif isinstance(value, dict):
        if value.get("type") in ("image_url", "input_image"):
            yield IMAGE
        elif value.get("type") not in ("input_audio", "file"):
            for key, inner in value.items():
                if key not in ("role", "type", "id", "tool_call_id"):
                    yield from _walk(inner, depth + 1)
    elif isinstance(value, list):
        if value and all(type(item) is int for item in value):
            yield len(value)  # token ids: embeddings and completions take them in place of text
        else:
            for inner in value:
                yield from _walk(inner, depth + 1)
