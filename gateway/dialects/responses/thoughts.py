"""Thoughts in OpenAI's Responses: items of type `reasoning`, with a summary and what proves them, encrypted.

OpenAI binds what it encrypts to the id of its item, and refuses it under another one. So a thought that leaves this
dialect carries that id inside `redacted`, which every other dialect gives back as it is: `rs_...:gAAAA...`. What
proves a thought of another provider travels as `signature:...` in `encrypted_content`, which every client of this
dialect gives back as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gateway.model.conversation import Part, Reasoning

BETWEEN = "\n\n"
"""What stands between the parts of a summary where they are one text."""

_SIGNED = "signature:"
_OWN = "gAAAA"  # how OpenAI's encrypted contents begin: a Fernet token


def sealed(id_: str, encrypted: str) -> str:
    """`redacted` of a thought of OpenAI's: what it encrypted, with the id of its item."""
    return f"{id_}:{encrypted}" if encrypted and id_.startswith("rs_") else encrypted


def is_own(thought: Reasoning) -> bool:
    """OpenAI encrypted it, and can read it again."""
    return opened(thought)[1].startswith(_OWN)


def opened(thought: Reasoning) -> tuple[str, str]:
    """The id of its item, empty if unknown, and what is encrypted."""
    id_, colon, encrypted = thought.redacted.partition(":")
    if colon and id_.startswith("rs_"):
        return id_, encrypted
    return thought.id, thought.redacted


def rejoined(parts: Sequence[Part]) -> Iterator[tuple[int, Part]]:
    """`parts` with their places. Words of a thought of OpenAI's, and what it encrypted of it, are one thought again:
    other dialects (Anthropic's) tell them in two."""
    words: Reasoning | None = None
    for place, part in enumerate(parts):
        if words is not None:
            if isinstance(part, Reasoning) and not part.text and is_own(part):
                part = msgspec.structs.replace(part, text=words.text)
            else:
                yield place - 1, words
            words = None
        if isinstance(part, Reasoning) and part.text and not (part.signature or part.redacted):
            words = part
        else:
            yield place, part
    if words is not None:
        yield len(parts) - 1, words


def proof(thought: Reasoning) -> tuple[str, str]:
    """Id and `encrypted_content` by which a client gives a thought back, signed ones too; empty where nothing is."""
    id_, encrypted = opened(thought)
    if not thought.signature:
        return id_, encrypted
    return id_, f"{_SIGNED}{thought.signature}" + (f":{encrypted}" if encrypted else "")


def proved(encrypted: str) -> tuple[str, str]:
    """`signature` and `redacted` in an `encrypted_content`: `proof`, undone."""
    if not encrypted.startswith(_SIGNED):
        return "", encrypted
    signature, _, redacted = encrypted[len(_SIGNED) :].partition(":")
    return signature, redacted


def item(id_: str, text: str, encrypted: str, status: str = "") -> dict[str, Any]:
    """A reasoning item; without an id where none is known, as no other would be taken."""
    found: dict[str, Any] = {"type": "reasoning", "summary": [summary(text)] if text else []}
    if id_:
        found["id"] = id_
    if encrypted:
        found["encrypted_content"] = encrypted
    if status:
        found["status"] = status
    return found


def summary(text: str) -> dict[str, Any]:
    """One part of a summary."""
    return {"type": "summary_text", "text": text}
